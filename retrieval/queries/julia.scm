(module_definition name: (identifier) @name) @definition.module
(abstract_definition (type_head [(identifier) @name (binary_expression . (identifier) @name)])) @definition.type
(struct_definition (type_head [
  (identifier) @name
  (binary_expression . [(identifier) @name (parametrized_type_expression . (identifier) @name)])
  (parametrized_type_expression . (identifier) @name)])) @definition.struct
(macro_definition (signature (call_expression . (identifier) @name))) @definition.macro
(function_definition (signature [
  (call_expression . [(identifier) @name (field_expression (identifier) @name .)])
  (typed_expression (call_expression . (identifier) @name))
  (where_expression (call_expression . (identifier) @name))])) @definition.function
(assignment . (call_expression . (identifier) @name)) @definition.function
(const_statement (assignment . (identifier) @name)) @definition.constant
