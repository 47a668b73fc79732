(call function: [
  (identifier) @reference.call
  (namespace_operator rhs: (identifier) @reference.call)
  (extract_operator rhs: (identifier) @reference.call)])
((call function: (identifier) @_load) @import (#any-of? @_load "library" "require" "source"))
