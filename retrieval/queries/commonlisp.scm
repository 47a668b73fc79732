((defun (defun_header keyword: (defun_keyword) @_def function_name: (_) @name)) @definition.macro
  (#eq? @_def "defmacro"))
(defun (defun_header function_name: (_) @name)) @definition.function
((list_lit . (sym_lit) @_def . (sym_lit) @name) @definition.class
  (#any-of? @_def "defclass" "defstruct" "define-condition"))
((list_lit . (sym_lit) @_def . (sym_lit) @name) @definition.variable
  (#any-of? @_def "defvar" "defparameter" "defconstant"))
((list_lit . (sym_lit) @_def . (kwd_lit (kwd_symbol) @name)) @definition.module (#eq? @_def "defpackage"))
