(call method: [(identifier) (constant)] @reference.call)
(superclass [(constant) @reference.base (scope_resolution name: (constant) @reference.base)])
((call method: (identifier) @_mix arguments: (argument_list [
    (constant) @reference.base
    (scope_resolution name: (constant) @reference.base)]))
  (#any-of? @_mix "include" "extend" "prepend"))
(call receiver: [(constant) @reference.use (scope_resolution name: (constant) @reference.use)])
((call method: (identifier) @_load arguments: (argument_list . (string))) @import
  (#any-of? @_load "require" "require_relative" "load" "autoload"))
