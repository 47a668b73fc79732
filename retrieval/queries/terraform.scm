((block (identifier) @_kind . (string_lit (template_literal) @name)) @definition.variable
  (#any-of? @_kind "variable" "output" "provider"))
((block (identifier) @_kind . (string_lit (template_literal) @name)) @definition.module (#eq? @_kind "module"))
((block (identifier) @_kind . (string_lit) . (string_lit (template_literal) @name)) @definition.resource
  (#any-of? @_kind "resource" "data"))
((block (identifier) @_kind (body (attribute (identifier) @name) @definition.variable)) (#eq? @_kind "locals"))
