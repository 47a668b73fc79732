(command name: (simple_word) @reference.call)
((command name: (simple_word) @_source) @import (#any-of? @_source "source" "package"))
