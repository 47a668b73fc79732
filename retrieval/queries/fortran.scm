(module (module_statement (name) @name)) @definition.module
(program (program_statement (name) @name)) @definition.program
(derived_type_definition (derived_type_statement (type_name) @name)) @definition.struct
(subroutine (subroutine_statement name: (name) @name)) @definition.function
(function (function_statement name: (name) @name)) @definition.function
