(apply function: [(variable) @reference.call (qualified id: (variable) @reference.call)])
(apply argument: (variable) @reference.use)
(infix operator: (operator) @reference.call)
(instance name: (name) @reference.base)
(name) @reference.type
(constructor) @reference.use
(import) @import
