((identifier) @reference.call . (selector (argument_part)))
((selector (unconditional_assignable_selector (identifier) @reference.call)) . (selector (argument_part)))
(superclass (type_identifier) @reference.base)
(mixins (type_identifier) @reference.base)
(interfaces (type_identifier) @reference.base)
(type_identifier) @reference.type
(import_or_export) @import
