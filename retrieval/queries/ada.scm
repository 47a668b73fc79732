(package_declaration name: (_) @name) @definition.module
(package_body name: (_) @name) @definition.module
(subprogram_body (procedure_specification name: (_) @name)) @definition.function
(subprogram_body (function_specification name: (_) @name)) @definition.function
(subprogram_declaration (procedure_specification name: (_) @name)) @definition.prototype
(subprogram_declaration (function_specification name: (_) @name)) @definition.prototype
(full_type_declaration (identifier) @name) @definition.type
(subtype_declaration (identifier) @name) @definition.type
