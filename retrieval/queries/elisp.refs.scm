(list . (symbol) @reference.call)
((list . (symbol) @_require . (quote)) @import (#eq? @_require "require"))
