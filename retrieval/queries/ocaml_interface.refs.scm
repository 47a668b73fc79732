(type_constructor_path (type_constructor) @reference.type)
(open_module) @import
(include_module_type) @import
