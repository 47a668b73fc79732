(call_expression . (identifier) @reference.call)
(call_expression . (property_expression (identifier) @reference.call .))
(new_expression (type (identifier) @reference.call))
(base_class (identifier) @reference.base)
(type (identifier) @reference.type)
(import_declaration) @import
