; What JavaScript and TypeScript have in common.
(call_expression function: [(identifier) @reference.call (member_expression property: (property_identifier) @reference.call)])
(new_expression constructor: [(identifier) @reference.call (member_expression property: (property_identifier) @reference.call)])
(decorator [(identifier) @reference.call (member_expression property: (property_identifier) @reference.call)])
(import_statement) @import
(export_statement source: (string)) @import
(call_expression function: (import) arguments: (arguments (string))) @import
((call_expression function: (identifier) @_require arguments: (arguments . (string) .)) @import
  (#eq? @_require "require"))
