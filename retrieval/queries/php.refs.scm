(function_call_expression function: [(name) @reference.call (qualified_name (name) @reference.call .)])
(member_call_expression name: (name) @reference.call)
(nullsafe_member_call_expression name: (name) @reference.call)
(scoped_call_expression name: (name) @reference.call)
(scoped_call_expression scope: (name) @reference.use)
(object_creation_expression [(name) @reference.call (qualified_name (name) @reference.call)])
(base_clause [(name) @reference.base (qualified_name (name) @reference.base)])
(class_interface_clause [(name) @reference.base (qualified_name (name) @reference.base)])
(use_declaration (name) @reference.base)
(named_type [(name) @reference.type (qualified_name (name) @reference.type)])
(namespace_use_declaration) @import
(require_expression) @import
(require_once_expression) @import
(include_expression) @import
(include_once_expression) @import
