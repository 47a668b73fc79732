(call_expression function: [
  (identifier) @reference.call
  (field_expression field: (identifier) @reference.call)
  (generic_function function: [(identifier) @reference.call (field_expression field: (identifier) @reference.call)])])
(instance_expression [(type_identifier) @reference.call (generic_type type: (type_identifier) @reference.call)])
(extends_clause type: [(type_identifier) @reference.base (generic_type type: (type_identifier) @reference.base)])
(field_expression value: (identifier) @reference.use)
(type_identifier) @reference.type
(import_declaration) @import
