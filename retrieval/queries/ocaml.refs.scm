(application_expression function: (value_path (value_name) @reference.call))
(value_path (module_path (module_name) @reference.use .))
(value_path (value_name) @reference.use)
(type_constructor_path (type_constructor) @reference.type)
(constructor_path (constructor_name) @reference.use)
(method_invocation (method_name) @reference.call)
(open_module) @import
(include_module) @import
