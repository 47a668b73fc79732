; References: @reference.KIND is the name that is used. Imports: @import is the whole statement.
(call function: [(identifier) @reference.call (attribute attribute: (identifier) @reference.call)])
(decorator [(identifier) @reference.call (attribute attribute: (identifier) @reference.call)])
(class_definition superclasses: (argument_list
  [(identifier) @reference.base (attribute attribute: (identifier) @reference.base)]))
(type [(identifier) @reference.type (attribute attribute: (identifier) @reference.type)])
(type (binary_operator (identifier) @reference.type))
(generic_type (identifier) @reference.type)
(raise_statement (identifier) @reference.type)
(except_clause (identifier) @reference.type)
(import_statement) @import
(import_from_statement) @import
