(invocation_expression function: [
  (identifier) @reference.call
  (generic_name (identifier) @reference.call)
  (member_access_expression name: [(identifier) @reference.call (generic_name (identifier) @reference.call)])])
(member_access_expression expression: (identifier) @reference.use)
(object_creation_expression type: [(identifier) @reference.call (generic_name (identifier) @reference.call)])
(base_list [(identifier) @reference.base (generic_name (identifier) @reference.base)])
(attribute name: (identifier) @reference.use)
(parameter type: (identifier) @reference.type)
(method_declaration returns: (identifier) @reference.type)
(property_declaration type: (identifier) @reference.type)
(variable_declaration type: (identifier) @reference.type)
(generic_name (identifier) @reference.type)
(type_argument_list (identifier) @reference.type)
(using_directive) @import
