; Definitions: @definition.KIND spans the whole, @name is what it is called.
(class_definition name: (identifier) @name) @definition.class
(function_definition name: (identifier) @name) @definition.function
(module (assignment left: (identifier) @name) @definition.constant)
(type_alias_statement left: (type (identifier) @name)) @definition.type
