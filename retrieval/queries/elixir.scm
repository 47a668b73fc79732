; Definitions are calls of macros; the name stands in the first argument, bare, called, or before `when`.
((call target: (identifier) @_word (arguments . (alias) @name)) @definition.module (#eq? @_word "defmodule"))
((call target: (identifier) @_word (arguments . (alias) @name)) @definition.interface (#eq? @_word "defprotocol"))
((call target: (identifier) @_word (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: (call target: (identifier) @name))])) @definition.function
  (#any-of? @_word "def" "defp" "defdelegate" "defguard" "defguardp"))
((call target: (identifier) @_word (arguments . [
    (identifier) @name
    (call target: (identifier) @name)])) @definition.macro
  (#any-of? @_word "defmacro" "defmacrop"))
