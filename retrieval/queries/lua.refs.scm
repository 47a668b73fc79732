(function_call name: [
  (identifier) @reference.call
  (dot_index_expression field: (identifier) @reference.call)
  (method_index_expression method: (identifier) @reference.call)])
(dot_index_expression table: (identifier) @reference.use)
((function_call name: (identifier) @_require) @import (#any-of? @_require "require" "dofile"))
