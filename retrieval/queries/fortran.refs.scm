(subroutine_call subroutine: (identifier) @reference.call)
(call_expression (identifier) @reference.call)
(derived_type name: (type_name) @reference.type)
(use_statement) @import
(include_statement) @import
