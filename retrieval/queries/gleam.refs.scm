(function_call function: [(identifier) @reference.call (field_access field: (label) @reference.call)])
(binary_expression right: (identifier) @reference.call)
(field_access record: (identifier) @reference.use)
(type name: (type_identifier) @reference.type)
(import) @import
