(call_expression function: (identifier) @reference.call)
(message_expression method: (identifier) @reference.call)
(message_expression receiver: (identifier) @reference.use)
(class_interface superclass: (identifier) @reference.base)
(protocol_reference_list (identifier) @reference.base)
(type_identifier) @reference.type
(preproc_include) @import
