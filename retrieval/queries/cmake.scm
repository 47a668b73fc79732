(function_def (function_command (argument_list . (argument) @name))) @definition.function
(macro_def (macro_command (argument_list . (argument) @name))) @definition.macro
((normal_command (identifier) @_add (argument_list . (argument) @name)) @definition.target
  (#any-of? @_add "add_library" "add_executable" "add_custom_target"))
((normal_command (identifier) @_set (argument_list . (argument) @name)) @definition.variable
  (#any-of? @_set "set" "option"))
