(scalar_type_definition (name) @name) @definition.type
(interface_type_definition (name) @name) @definition.interface
(object_type_definition (name) @name) @definition.class
(input_object_type_definition (name) @name) @definition.class
(enum_type_definition (name) @name) @definition.enum
(union_type_definition (name) @name) @definition.type
(directive_definition (name) @name) @definition.function
(operation_definition (name) @name) @definition.function
(fragment_definition (fragment_name (name) @name)) @definition.function
(object_type_extension (name) @name) @definition.impl
(object_type_definition (fields_definition (field_definition (name) @name) @definition.property))
(object_type_extension (fields_definition (field_definition (name) @name) @definition.property))
