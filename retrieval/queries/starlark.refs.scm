(call function: [(identifier) @reference.call (attribute attribute: (identifier) @reference.call)])
(keyword_argument value: (identifier) @reference.use)
((call function: (identifier) @_load) @import (#eq? @_load "load"))
