; Serves TypeScript and TSX; read together with ecmascript.scm.
(class_declaration name: (type_identifier) @name) @definition.class
(abstract_class_declaration name: (type_identifier) @name) @definition.class
(interface_declaration name: (type_identifier) @name) @definition.interface
(type_alias_declaration name: (type_identifier) @name) @definition.type
(enum_declaration name: (identifier) @name) @definition.enum
(internal_module name: (identifier) @name) @definition.module
(module name: (identifier) @name) @definition.module
(function_signature name: (identifier) @name) @definition.function
(method_definition name: [(property_identifier) (private_property_identifier)] @name) @definition.method
(abstract_method_signature name: (property_identifier) @name) @definition.method
(method_signature name: (property_identifier) @name) @definition.method
(public_field_definition
  name: (property_identifier) @name
  value: [(arrow_function) (function_expression)]) @definition.method
(assignment_expression
  left: (member_expression property: (property_identifier) @name)
  right: [(arrow_function) (function_expression) (class)]) @definition.function
(program (lexical_declaration
  (variable_declarator name: (identifier) @name
    value: [(number) (string) (template_string) (object) (array) (call_expression) (new_expression) (as_expression)])
  @definition.constant))
(program (export_statement (lexical_declaration
  (variable_declarator name: (identifier) @name
    value: [(number) (string) (template_string) (object) (array) (call_expression) (new_expression) (as_expression)])
  @definition.constant)))
