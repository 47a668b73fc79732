(call target: [(identifier) @reference.call (dot right: (identifier) @reference.call)])
((call target: (identifier) @_word (arguments . (alias))) @import
  (#any-of? @_word "import" "alias" "use" "require"))
(dot left: (alias) @reference.use)
(struct (alias) @reference.type)
