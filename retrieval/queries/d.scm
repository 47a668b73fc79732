(interface_declaration (identifier) @name) @definition.interface
(class_declaration (identifier) @name) @definition.class
(struct_declaration (identifier) @name) @definition.struct
(union_declaration (identifier) @name) @definition.struct
(enum_declaration . (enum) . (identifier) @name) @definition.enum
(constructor (this) @name) @definition.constructor
(alias_declaration (alias_initializer . (identifier) @name)) @definition.type
(function_declaration (identifier) @name) @definition.function
(template_declaration (identifier) @name) @definition.macro
