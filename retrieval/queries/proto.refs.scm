(message_or_enum_type (identifier) @reference.type .)
(import) @import
