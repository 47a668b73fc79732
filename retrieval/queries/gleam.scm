(constant name: (identifier) @name) @definition.constant
(type_definition (type_name name: (type_identifier) @name)) @definition.type
(type_alias (type_name name: (type_identifier) @name)) @definition.type
(function name: (identifier) @name) @definition.function
(external_function name: (identifier) @name) @definition.function
