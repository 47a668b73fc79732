from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from flowloom.runs.shared_lists import MIN_ITEMS, ItemRow, MissingItem, SharedLists

SERIALIZER = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=[])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=40,
)


class Table:
    """The stored rows, and a process that reads or writes them."""

    def __init__(self) -> None:
        self.rows: dict[bytes, ItemRow] = {}
        self.lists = SharedLists(SERIALIZER)

    def restart(self) -> None:
        self.lists = SharedLists(SERIALIZER)

    def pack(self, value: Any) -> tuple[Any, int]:
        """Return the packed value and how many rows it added."""
        packed, new = self.lists.pack(value)
        before = len(self.rows)
        self.rows |= {each.row.link: each.row for each in new}
        self.lists.remember(new)
        return packed, len(self.rows) - before

    def unpack(self, packed: Any) -> Any:
        while True:
            try:
                return self.lists.unpack(packed)
            except MissingItem as missing:
                self.lists.add(self.rows[missing.link])


@pytest.fixture
def table() -> Table:
    return Table()


def messages(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{n} 番"} for n in range(count)]


@given(JSON, st.booleans())
def test_every_json_value_comes_back_as_it_was(value: Any, restart: bool) -> None:
    table = Table()
    packed, _ = table.pack(value)
    if restart:
        table.restart()
    assert table.unpack(packed) == value


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=20), max_size=6))
def test_lists_that_share_beginnings_are_not_mixed_up(values: list[list[str]]) -> None:
    table = Table()
    packed = [table.pack(value)[0] for value in values]
    table.restart()
    assert [table.unpack(each) for each in packed] == values


def test_short_list_stays_where_it_is(table: Table) -> None:
    value = {"messages": messages(MIN_ITEMS - 1)}
    assert table.pack(value) == (value, 0)


def test_grown_list_adds_the_new_items_only(table: Table) -> None:
    grown = messages(20)
    assert table.pack({"a": grown[:19]})[1] == 19
    assert table.pack({"a": grown})[1] == 1
    assert table.pack({"b": [grown]})[1] == 0


def test_equal_items_of_another_process_add_nothing(table: Table) -> None:
    table.pack(messages(20))
    table.restart()
    assert table.pack(messages(20))[1] == 0


def test_items_read_back_are_known_without_hashing_them_again(table: Table) -> None:
    packed, _ = table.pack(messages(20))
    table.restart()
    read = table.unpack(packed)
    assert table.lists.pack([*read, {"role": "user", "content": "新"}])[1][0].row.before == packed[-20:-4]


def test_item_changed_in_the_middle_does_not_touch_the_list_as_it_was(table: Table) -> None:
    old = messages(12)
    before, _ = table.pack(old)
    after, added = table.pack([*old[:6], {"role": "user", "content": "別"}, *old[7:]])
    assert added == 6
    table.restart()
    assert table.unpack(before) == old
    assert table.unpack(after)[6] == {"role": "user", "content": "別"}


def test_what_was_not_stored_is_packed_again(table: Table) -> None:
    value = messages(10)
    assert len(table.lists.pack(value)[1]) == 10
    assert len(table.lists.pack(value)[1]) == 10


def test_missing_item_is_an_error_and_never_a_shorter_list(table: Table) -> None:
    packed, _ = table.pack(messages(10))
    table.restart()
    with pytest.raises(MissingItem):
        table.lists.unpack(packed)
    for row in table.rows.values():
        table.lists.add(row)
    shorter = packed[:-4] + (9).to_bytes(4, "big")
    with pytest.raises(ValueError, match="10 items, not 9"):
        table.lists.unpack(shorter)
