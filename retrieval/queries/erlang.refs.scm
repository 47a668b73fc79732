(call expr: [(atom) @reference.call (remote fun: (atom) @reference.call)])
(remote_module module: (atom) @reference.use)
(macro_call_expr name: (_) @reference.use)
(record_name name: (atom) @reference.type)
(pp_include) @import
(pp_include_lib) @import
(import_attribute) @import
