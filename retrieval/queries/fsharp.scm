(named_module name: (long_identifier (identifier) @name .)) @definition.module
(module_defn (identifier) @name) @definition.module
(type_definition (_ (type_name type_name: (identifier) @name))) @definition.type
(member_defn (method_or_prop_defn name: (property_or_ident method: (identifier) @name))) @definition.method
(function_or_value_defn (function_declaration_left . (identifier) @name)) @definition.function
(named_module (declaration_expression (function_or_value_defn
  (value_declaration_left (identifier_pattern (long_identifier_or_op (identifier) @name)))) @definition.variable))
