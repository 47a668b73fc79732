(list_lit . (sym_lit) @reference.call)
