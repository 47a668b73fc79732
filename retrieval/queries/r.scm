(binary_operator lhs: (identifier) @name rhs: (function_definition)) @definition.function
(binary_operator lhs: (string (string_content) @name) rhs: (function_definition)) @definition.function
((call function: (identifier) @_set
    arguments: (arguments . (argument value: (string content: (string_content) @name)))) @definition.class
  (#any-of? @_set "setClass" "setRefClass" "R6Class"))
((call function: (identifier) @_set
    arguments: (arguments . (argument value: (string content: (string_content) @name)))) @definition.function
  (#any-of? @_set "setGeneric" "setMethod"))
(program (binary_operator lhs: (identifier) @name operator: ["<-" "="]) @definition.variable)
