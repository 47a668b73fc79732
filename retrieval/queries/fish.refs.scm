(command name: (word) @reference.call)
((command name: (word) @_source) @import (#eq? @_source "source"))
