(package_statement name: (package) @name) @definition.module
(subroutine_declaration_statement name: (bareword) @name) @definition.function
(method_declaration_statement name: (bareword) @name) @definition.method
((use_statement module: (package) @_constant (list_expression . (autoquoted_bareword) @name)) @definition.constant
  (#eq? @_constant "constant"))
(source_file (expression_statement
  (assignment_expression left: (variable_declaration "our" variable: (scalar (varname) @name)))) @definition.variable)
