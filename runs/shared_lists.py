"""Lists of a state stored once: a checkpoint holds a list's last link, the items lie in a table that only grows.

Used by the saver alone. LangGraph stores the whole state with every checkpoint, so a conversation that grows by one
message a step would be written again and again, quadratically. Here each item is a row named by the hash of its
content and of the link before it. A fork shares the rows up to where it leaves, no checkpoint depends on another one
(so any may be removed), and a row that was stored twice is one row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

MIN_ITEMS = 8
"""Shorter lists stay in the checkpoint: a link would not be smaller."""
MAX_REMEMBERED = 50_000
"""Links remembered in memory; more than that, and it begins anew (they are found again by their hash)."""

_MARK = b"\x00flowloom-list\x00"
"""Before a link in the place of its list. Our state is JSON data, so no value of its own is ever bytes."""
_LINK_BYTES = 16
_COUNT_BYTES = 4
_FIRST = b""
_CONTAINERS = frozenset({dict, list})


class Serializer(Protocol):
    def dumps_typed(self, obj: Any) -> tuple[str, bytes]: ...

    def loads_typed(self, data: tuple[str, bytes]) -> Any: ...


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One stored item. `link`: its name. `before`: the link of the item before it, b"" for the first of a list."""

    link: bytes
    before: bytes
    type: str
    value: bytes


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item that was not met before, and the row to store it as."""

    item: Any
    row: ItemRow


class MissingItem(LookupError):
    """An item that a list needs was not read yet; `link` is its name."""

    def __init__(self, link: bytes) -> None:
        super().__init__(link.hex())
        self.link = link


@dataclass(slots=True)
class SharedLists:
    """The lists of one run, packed into links and back.

    Items are told by identity where they were met before, so that packing costs the new items only: a value of a
    state must not be changed in place, which LangGraph demands anyway.
    """

    serializer: Serializer
    _next: dict[tuple[bytes, int], tuple[bytes, Any]] = field(default_factory=dict)
    _items: dict[bytes, tuple[bytes, Any]] = field(default_factory=dict)

    def pack(self, value: Any) -> tuple[Any, list[NewItem]]:
        """Return the value with every long list replaced by its link, and what has to be stored first.

        Once that is stored, and only then, `remember` is to be called with it.
        """
        new: list[NewItem] = []
        return self._packed(value, new), new

    def remember(self, new: list[NewItem]) -> None:
        """Note that these are stored."""
        if len(self._next) > MAX_REMEMBERED:
            self._next.clear()
            self._items.clear()
        for each in new:
            self._add(each.row, each.item)

    def unpack(self, value: Any) -> Any:
        """Return the value with every link replaced by its list.

        Raises:
            MissingItem: an item has to be read first; `add` takes it.
        """
        if type(value) is dict:
            return {key: self.unpack(each) for key, each in value.items()}
        if type(value) is list:
            return [self.unpack(each) for each in value]
        if type(value) is bytes and value.startswith(_MARK):
            return self._list(value[len(_MARK) :])
        return value

    def add(self, row: ItemRow) -> None:
        """Take one stored item."""
        if row.link not in self._items:
            self._add(row, self.serializer.loads_typed((row.type, row.value)))

    def _packed(self, value: Any, new: list[NewItem]) -> Any:
        # Exact types: the engine's own objects (interrupts, named tuples) stay as they are.
        kind = type(value)
        if kind is dict:
            return {
                key: self._packed(each, new) if type(each) in _CONTAINERS else each for key, each in value.items()
            }
        if kind is not list:
            return value
        if len(value) < MIN_ITEMS:
            return [self._packed(each, new) if type(each) in _CONTAINERS else each for each in value]
        link = _FIRST
        for item in value:
            known = self._next.get((link, id(item)))
            link = self._linked(link, item, new) if known is None else known[0]
        return _MARK + link + len(value).to_bytes(_COUNT_BYTES, "big")

    def _linked(self, before: bytes, item: Any, new: list[NewItem]) -> bytes:
        kind, data = self.serializer.dumps_typed(item)
        link = hashlib.blake2b(b"%b\x00%b\x00%b" % (before, kind.encode(), data), digest_size=_LINK_BYTES).digest()
        new.append(NewItem(item, ItemRow(link, before, kind, data)))
        return link

    def _list(self, packed: bytes) -> list[Any]:
        link, count = packed[:_LINK_BYTES], int.from_bytes(packed[_LINK_BYTES:], "big")
        items = []
        while link:
            if link not in self._items:
                raise MissingItem(link)
            link, item = self._items[link]
            items.append(item)
        if len(items) != count:
            raise ValueError(f"a stored list has {len(items)} items, not {count}")
        return items[::-1]

    def _add(self, row: ItemRow, item: Any) -> None:
        # Each item is held with its identity, so that no other object can come to have it.
        self._next[(row.before, id(item))] = (row.link, item)
        self._items.setdefault(row.link, (row.before, item))
