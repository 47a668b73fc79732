(command command_name: (command_name) @reference.call)
(class_statement (simple_name) (simple_name) @reference.base)
(invokation_expression (member_name (simple_name) @reference.call))
(type_name (type_identifier) @reference.type)
((command command_name: (command_name) @_load) @import (#any-of? @_load "using" "Import-Module"))
(command command_name: (command_name_expr)) @import
