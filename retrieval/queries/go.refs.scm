(call_expression function: [(identifier) @reference.call (selector_expression field: (field_identifier) @reference.call)])
(field_declaration_list (field_declaration !name type: [
  (type_identifier) @reference.base
  (pointer_type (type_identifier) @reference.base)
  (qualified_type name: (type_identifier) @reference.base)]))
(type_identifier) @reference.type
(import_spec) @import
