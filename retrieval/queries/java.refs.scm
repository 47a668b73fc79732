(method_invocation name: (identifier) @reference.call)
(method_invocation object: (identifier) @reference.use)
(object_creation_expression type: [
  (type_identifier) @reference.call
  (generic_type (type_identifier) @reference.call)
  (scoped_type_identifier (type_identifier) @reference.call .)])
(method_reference (identifier) @reference.call .)
(superclass [(type_identifier) @reference.base (generic_type (type_identifier) @reference.base)])
(super_interfaces (type_list [(type_identifier) @reference.base (generic_type (type_identifier) @reference.base)]))
(extends_interfaces (type_list [(type_identifier) @reference.base (generic_type (type_identifier) @reference.base)]))
(annotation name: (identifier) @reference.use)
(marker_annotation name: (identifier) @reference.use)
(field_access object: (identifier) @reference.use)
(type_identifier) @reference.type
(import_declaration) @import
