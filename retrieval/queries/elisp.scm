(function_definition name: (symbol) @name) @definition.function
(macro_definition name: (symbol) @name) @definition.macro
(special_form ["defvar" "defconst"] . (symbol) @name) @definition.variable
((list . (symbol) @_def . (symbol) @name) @definition.variable (#any-of? @_def "defcustom" "defface" "defgroup"))
((list . (symbol) @_def . (symbol) @name) @definition.function
  (#any-of? @_def "cl-defun" "defalias" "define-minor-mode" "define-derived-mode" "cl-defmethod" "cl-defgeneric"))
