(module_definition (module_binding (module_name) @name)) @definition.module
(module_type_definition (module_type_name) @name) @definition.interface
(class_definition (class_binding (class_name) @name)) @definition.class
(type_definition (type_binding name: (type_constructor) @name)) @definition.type
(exception_definition (constructor_declaration (constructor_name) @name)) @definition.type
(method_definition (method_name) @name) @definition.method
(external (value_name) @name) @definition.function
(value_specification (value_name) @name) @definition.prototype
(structure (value_definition (let_binding pattern: (value_name) @name (parameter))) @definition.function)
(compilation_unit (value_definition (let_binding pattern: (value_name) @name (parameter))) @definition.function)
(structure (value_definition (let_binding pattern: (value_name) @name)) @definition.variable)
(compilation_unit (value_definition (let_binding pattern: (value_name) @name)) @definition.variable)
