(procedure_call_statement name: [(identifier) @reference.call (selected_component selector_name: (identifier) @reference.call)])
(function_call name: [(identifier) @reference.call (selected_component selector_name: (identifier) @reference.call)])
(parameter_specification subtype_mark: (identifier) @reference.type)
(result_profile subtype_mark: (identifier) @reference.type)
(with_clause) @import
