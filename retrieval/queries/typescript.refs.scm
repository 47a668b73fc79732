; Serves TypeScript and TSX; read together with ecmascript.refs.scm.
(extends_clause value: [(identifier) @reference.base (member_expression property: (property_identifier) @reference.base)])
(implements_clause [(type_identifier) @reference.base (generic_type name: (type_identifier) @reference.base)])
(extends_type_clause type: [(type_identifier) @reference.base (generic_type name: (type_identifier) @reference.base)])
(type_identifier) @reference.type
