(call_expression . (simple_identifier) @reference.call)
(call_expression . (navigation_expression (navigation_suffix (simple_identifier) @reference.call)))
(delegation_specifier [(user_type (type_identifier) @reference.base .) (constructor_invocation (user_type (type_identifier) @reference.base .))])
(navigation_expression . (simple_identifier) @reference.use)
(user_type (type_identifier) @reference.type .)
(import_header) @import
