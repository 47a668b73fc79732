(call_expression function: (expression [
  (identifier) @reference.call
  (member_expression property: (identifier) @reference.call)]))
(member_expression object: (identifier) @reference.use)
(emit_statement name: (expression (identifier) @reference.call))
(modifier_invocation (identifier) @reference.call)
(inheritance_specifier ancestor: (user_defined_type (identifier) @reference.base .))
(user_defined_type (identifier) @reference.type .)
(import_directive) @import
