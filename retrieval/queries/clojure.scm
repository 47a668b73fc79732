((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.module (#eq? @_def "ns"))
((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.function
  (#any-of? @_def "defn" "defn-" "defmulti" "defmethod"))
((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.macro
  (#eq? @_def "defmacro"))
((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.interface
  (#any-of? @_def "defprotocol" "definterface"))
((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.struct
  (#any-of? @_def "defrecord" "deftype" "defstruct"))
((list_lit . (sym_lit name: (sym_name) @_def) . (sym_lit name: (sym_name) @name)) @definition.variable
  (#any-of? @_def "def" "defonce"))
