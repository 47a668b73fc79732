(call_expression function: [(identifier) @reference.call (scoped_identifier (identifier) @reference.call)])
(source_statement) @import
