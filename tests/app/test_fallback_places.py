"""Who takes over from whom, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from flowloom.app.fallbacks import Places, wanted_places
from flowloom.app.model_pool import Made, ModelPool, Served
from flowloom.configs.model_settings import ModelSettings
from flowloom.core.errors import ModelNotUsable, ModelUnavailable

INSTALLED = ("a", "b", "c", "d")


def choose(wanted: str) -> str:
    if wanted not in INSTALLED:
        raise ModelNotUsable(f"no model {wanted!r}.", model=wanted)
    return wanted


def places(tags: Sequence[str] = (), replaced: Mapping[str, str] | None = None, **models: Any) -> Places:
    return Places(choose, wanted_places(ModelSettings(**{"main": "a", **models}), tags, replaced or {}))


def lost(model: str) -> ModelNotUsable:
    return ModelNotUsable(f"{model} does not fit.", model=model)


class Maker:
    """Makes any model but the broken ones; each is asked for with a chance for others to go on."""

    def __init__(self, *broken: str, down: bool = False, window: int = 8192) -> None:
        self.broken = set(broken)
        self.down = down
        self.window = window

    async def make(self, names: Sequence[str]) -> list[Made]:
        await asyncio.sleep(0)
        if self.down:
            raise ModelUnavailable("the server is gone.")
        for name in names:
            if name in self.broken:
                raise lost(name)
        found: Any = SimpleNamespace(window=self.window)
        return [Made(_chat(name), found, _details(name)) for name in names]


def _chat(name: str) -> Any:
    return SimpleNamespace(name=name)


def _details(name: str) -> Any:
    return SimpleNamespace(name=name)


async def pool_of(made: Maker, found: Places) -> ModelPool:
    async def find() -> Served:
        return Served(found, made.make)

    pool = ModelPool(find, SimpleNamespace())  # type: ignore[arg-type]  # no tool is named here
    await pool.connect()
    return pool


def test_next_model_that_is_there_and_did_not_fail_takes_over() -> None:
    found = places(fallback=["a", "gone", "b", "c"])
    found.lose(lost("a"))
    assert set(found.roles().values()) == {"b"}
    found.lose(lost("b"))
    (event,) = found.told()
    assert (event.wanted, event.model) == ("a", "c")
    assert event.reason == "a does not fit. no model 'gone'. b does not fit."
    assert found.told() == []


def test_model_that_failed_in_the_run_is_not_taken_again() -> None:
    found = places(coder="b", fallback=["b"])
    with pytest.raises(ModelNotUsable, match="b does not fit"):
        found.lose(lost("b"), "coder")
    with pytest.raises(ModelNotUsable, match="a does not fit"):
        found.lose(lost("a"))


def test_tag_that_was_replaced_earlier_in_the_run_is_kept_in_mind() -> None:
    found = places(["b", "c"], {"b": "d"})
    assert (found.name("b"), found.name("c"), found.replaced_tags()) == ("d", "c", {"b": "d"})


async def test_only_roles_with_the_same_fallbacks_are_switched_in_mid_run() -> None:
    pool = await pool_of(Maker(), places(fallback=["b"], role_fallback={"coder": ["c"], "light": []}))
    (event,) = await pool.fall_back("coder", lost("a"), 100)
    assert (event.model, event.roles) == ("c", ("coder",))
    assert [pool.model(role).name for role in ("coder", "agent", "light")] == ["c", "a", "a"]
    await pool.fall_back("agent", lost("a"), 100)
    assert [pool.model(role).name for role in ("coder", "planner", "light")] == ["c", "b", "a"]
    with pytest.raises(ModelNotUsable, match="a does not fit"):
        await pool.fall_back("light", lost("a"), 100)


async def test_agents_side_by_side_switch_once_and_have_a_model_at_any_time() -> None:
    pool = await pool_of(Maker("b"), places(fallback=["b", "c"]))
    asked = [asyncio.ensure_future(pool.fall_back("coder", lost("a"), 100)) for _ in range(3)]
    names = set()
    while not all(each.done() for each in asked):
        names.add(pool.model("coder").name)
        await asyncio.sleep(0)
    assert [len(each.result()) for each in asked] == [1, 0, 0]
    assert names <= {"a", "c"} and pool.model("coder").name == "c"


async def test_server_that_goes_away_while_another_model_is_loaded_is_no_switch() -> None:
    maker = Maker()
    pool = await pool_of(maker, places(fallback=["b"]))
    maker.down = True
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="gone"):
            await pool.fall_back("coder", lost("a"), 100)
        assert pool.model("coder").name == "a"
    maker.down = False
    (event,) = await pool.fall_back("coder", lost("a"), 100)
    assert (event.model, pool.names["coder"]) == ("b", "b")


async def test_model_whose_window_is_too_small_for_the_conversation_does_not_take_over() -> None:
    pool = await pool_of(Maker(window=4096), places(fallback=["b", "c"]))
    with pytest.raises(ModelNotUsable, match=r"window of 'c' holds 4,096 tokens, .* needs 5,000"):
        await pool.fall_back("coder", lost("a"), 5000)
    assert pool.model("coder").name == "a"
