(unit (moduleName) @name) @definition.module
(program (moduleName) @name) @definition.program
(declType name: (identifier) @name type: (declClass)) @definition.class
(declType name: (identifier) @name type: (declIntf)) @definition.interface
(declType name: (identifier) @name type: (type (declEnum))) @definition.enum
(declType name: (identifier) @name) @definition.type
(declConst name: (identifier) @name) @definition.constant
(defProc header: (declProc name: [(identifier) @name (genericDot lhs: (identifier) @scope rhs: (identifier) @name)])) @definition.function
(interface (declProc name: (identifier) @name) @definition.prototype)
(declClass (declProc name: (identifier) @name) @definition.prototype)
(declIntf (declProc name: (identifier) @name) @definition.prototype)
