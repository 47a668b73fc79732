; Read together with ecmascript.refs.scm and jsx.refs.scm.
(class_heritage [(identifier) @reference.base (member_expression property: (property_identifier) @reference.base)])
