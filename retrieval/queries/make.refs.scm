(prerequisites (word) @reference.use)
(variable_reference (word) @reference.use)
(include_directive) @import
