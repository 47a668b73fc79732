(procedure name: (simple_word) @name) @definition.function
(namespace (word_list . (simple_word) . (simple_word) @name)) @definition.namespace
