(call_expression . [(identifier) @reference.call (field_expression (identifier) @reference.call .)])
(broadcast_call_expression . (identifier) @reference.call)
(macrocall_expression (macro_identifier (identifier) @reference.call))
(type_head (binary_expression (operator) (identifier) @reference.base))
(typed_expression (identifier) @reference.type .)
(using_statement) @import
(import_statement) @import
((call_expression . (identifier) @_include (argument_list . (string_literal))) @import (#eq? @_include "include"))
