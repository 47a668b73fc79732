(call_expression function: [
  (identifier) @reference.call
  (field_expression field: (field_identifier) @reference.call)
  (scoped_identifier name: (identifier) @reference.call)
  (generic_function function: [(identifier) @reference.call (scoped_identifier name: (identifier) @reference.call)])])
(macro_invocation macro: [(identifier) @reference.call (scoped_identifier name: (identifier) @reference.call)])
(impl_item trait: [
  (type_identifier) @reference.base
  (generic_type type: (type_identifier) @reference.base)
  (scoped_type_identifier name: (type_identifier) @reference.base)])
(scoped_identifier path: (identifier) @reference.use)
(type_identifier) @reference.type
(use_declaration) @import
(mod_item !body) @import
