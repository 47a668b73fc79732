; Read together with ecmascript.scm.
(class_declaration name: (identifier) @name) @definition.class
(method_definition name: [(property_identifier) (private_property_identifier)] @name) @definition.method
(field_definition
  property: (property_identifier) @name
  value: [(arrow_function) (function_expression)]) @definition.method
(assignment_expression
  left: [
    (identifier) @name
    (member_expression property: (property_identifier) @name)
  ]
  right: [(arrow_function) (function_expression) (class)]) @definition.function
(program (lexical_declaration
  (variable_declarator name: (identifier) @name
    value: [(number) (string) (template_string) (object) (array) (call_expression) (new_expression) (regex)])
  @definition.constant))
(program (export_statement (lexical_declaration
  (variable_declarator name: (identifier) @name
    value: [(number) (string) (template_string) (object) (array) (call_expression) (new_expression) (regex)])
  @definition.constant)))
