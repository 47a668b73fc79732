(class_definition name: (identifier) @name) @definition.class
(mixin_declaration (identifier) @name) @definition.trait
(enum_declaration name: (identifier) @name) @definition.enum
(extension_declaration name: (identifier) @name) @definition.impl
(type_alias (type_identifier) @name) @definition.type
(constructor_signature . name: (identifier) @name) @definition.constructor
(factory_constructor_signature (identifier) @name .) @definition.constructor
(function_signature name: (identifier) @name) @definition.function
(getter_signature name: (identifier) @name) @definition.property
(setter_signature name: (identifier) @name) @definition.property
(program (static_final_declaration_list (static_final_declaration (identifier) @name)) @definition.constant)
