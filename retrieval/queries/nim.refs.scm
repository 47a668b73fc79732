(call function: [(identifier) @reference.call (dot_expression right: (identifier) @reference.call)])
(object_declaration inherits: (type_expression (identifier) @reference.base))
(type_expression (identifier) @reference.type)
(import_statement) @import
(import_from_statement) @import
(include_statement) @import
