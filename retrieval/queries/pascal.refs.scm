(exprCall entity: [(identifier) @reference.call (exprDot rhs: (identifier) @reference.call)])
(exprDot lhs: (identifier) @reference.use)
(statement (identifier) @reference.call)
(declClass parent: (typeref (identifier) @reference.base))
(typeref (identifier) @reference.type)
(declUses) @import
