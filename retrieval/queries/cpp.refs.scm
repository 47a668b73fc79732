(call_expression function: [
  (identifier) @reference.call
  (field_expression field: (field_identifier) @reference.call)
  (qualified_identifier name: [(identifier) @reference.call (template_function name: (identifier) @reference.call)])
  (template_function name: (identifier) @reference.call)])
(new_expression type: [(type_identifier) @reference.call (qualified_identifier name: (type_identifier) @reference.call)])
(base_class_clause [
  (type_identifier) @reference.base
  (template_type name: (type_identifier) @reference.base)
  (qualified_identifier name: [(type_identifier) @reference.base (template_type name: (type_identifier) @reference.base)])])
(qualified_identifier scope: (namespace_identifier) @reference.use)
(type_identifier) @reference.type
(preproc_include) @import
