(function_call_expr target: (value_expr name: (value_qid (lower_case_identifier) @reference.call .)))
(value_qid (lower_case_identifier) @reference.use .)
(upper_case_qid (upper_case_identifier) @reference.type .)
(import_clause) @import
