(list_lit . (sym_lit name: (sym_name) @reference.call))
((list_lit . (kwd_lit name: (kwd_name) @_require)) @import (#any-of? @_require "require" "use" "import"))
