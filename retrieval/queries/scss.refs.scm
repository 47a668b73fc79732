(include_statement (identifier) @reference.call)
(call_expression (function_name) @reference.call)
(import_statement) @import
(use_statement) @import
(forward_statement) @import
