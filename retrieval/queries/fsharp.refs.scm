(application_expression . (long_identifier_or_op [
  (identifier) @reference.call
  (long_identifier (identifier) @reference.call .)]))
(simple_type (long_identifier (identifier) @reference.type .))
(import_decl) @import
