(module_attribute name: (atom) @name) @definition.module
(pp_define lhs: (macro_lhs name: (_) @name)) @definition.macro
(record_decl name: (atom) @name) @definition.struct
(type_alias name: (type_name name: (atom) @name)) @definition.type
(opaque name: (type_name name: (atom) @name)) @definition.type
(fun_decl clause: (function_clause name: (atom) @name)) @definition.function
