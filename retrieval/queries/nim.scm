(type_declaration (type_symbol_declaration name: [(identifier) @name (exported_symbol (identifier) @name)])
  (object_declaration)) @definition.struct
(type_declaration (type_symbol_declaration name: [(identifier) @name (exported_symbol (identifier) @name)])
  (enum_declaration)) @definition.enum
(type_declaration (type_symbol_declaration name: [(identifier) @name (exported_symbol (identifier) @name)])) @definition.type
(proc_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.function
(func_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.function
(method_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.method
(iterator_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.function
(template_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.macro
(macro_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]) @definition.macro
(source_file (const_section (variable_declaration (symbol_declaration_list
  (symbol_declaration name: [(identifier) @name (exported_symbol (identifier) @name)]))) @definition.constant))
