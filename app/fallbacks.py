"""Which model works for each role of a run and for each tag that its graph names, and which one takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..configs.model_settings import ROLES, ModelSettings
from ..core.errors import ModelNotUsable
from ..core.events import ModelReplaced


@dataclass(slots=True)
class Place:
    """One role, or one tag.

    Attributes:
        wanted: as it is set; "" = the one that the server's models and the memory make best.
        left: models that would take over, in this order.
        name: the model that works for it now, as the server names it.
        lost: those that worked for it or should have, since it was last told; the first one counts.
        reasons: why each of them does not.
        moved: another model than the wanted one works for it.
    """

    wanted: str
    left: list[str]
    name: str = ""
    lost: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    moved: bool = False


def wanted_places(models: ModelSettings, tags: Sequence[str], replaced: Mapping[str, str]) -> dict[str, Place]:
    """Return the places of a run before anything is known of the server.

    Args:
        tags: exact tags that the graph itself names.
        replaced: models that took over from such tags earlier in the run.
    """
    places: dict[str, Place] = {}
    for role in ROLES:
        places[role] = Place(models.for_role(role), list(models.fallbacks_for(role)))
    for tag in tags:
        places[tag] = Place(replaced.get(tag, tag), list(models.fallback), moved=tag in replaced)
    return places


class Places:
    """All places of a run.

    Args:
        choose: returns the server's own name of a wanted model, as app/servers.choose_allowed does.
        by_key: places by role and tag.

    Raises:
        ModelNotUsable: the server has neither the model that is wanted for a place nor one that would take over.
    """

    def __init__(self, choose: Callable[[str], str], by_key: Mapping[str, Place]) -> None:
        self._choose = choose
        self._by_key = dict(by_key)
        self._lost: set[str] = set()
        for place in self._by_key.values():
            try:
                place.name = choose(place.wanted)
            except ModelNotUsable as err:
                self._next(place, err)

    def name(self, key: str) -> str:
        """Return the model that works for a role or a tag; "" = there is no such place."""
        place = self._by_key.get(key)
        return place.name if place else ""

    def names(self) -> list[str]:
        """Return the models that work for something, each once."""
        return list(dict.fromkeys(place.name for place in self._by_key.values()))

    def all(self) -> dict[str, str]:
        """Return the model of each role and tag."""
        return {key: place.name for key, place in self._by_key.items()}

    def roles(self) -> dict[str, str]:
        """Return the model of each role."""
        return {role: self._by_key[role].name for role in ROLES if role in self._by_key}

    def replaced_tags(self) -> dict[str, str]:
        """Return the models that work in place of tags of the graph."""
        return {key: place.name for key, place in self._by_key.items() if place.moved and key not in ROLES}

    def lose(self, err: ModelNotUsable, key: str = "") -> None:
        """Let the next models take over where the one that failed works.

        Args:
            key: in this place, and in those whose next models are the same. "" = in all.

        Raises:
            ModelNotUsable: none is left.
        """
        self._lost.add(err.model)
        places = [place for place in self._by_key.values() if place.name == err.model]
        if key:
            left = list(self._by_key[key].left)
            places = [place for place in places if place.left == left]
        for place in places:
            self._next(place, err)

    def told(self) -> list[ModelReplaced]:
        """Return what took over since this was last asked, places with the same history together."""
        groups: dict[tuple[str, str, str], list[str]] = {}
        for key, place in self._by_key.items():
            if place.lost:
                groups.setdefault((place.lost[0], place.name, " ".join(place.reasons)), []).append(key)
                place.lost, place.reasons = [], []
        return [ModelReplaced(lost, name, tuple(keys), why) for (lost, name, why), keys in groups.items()]

    def _next(self, place: Place, err: ModelNotUsable) -> None:
        """Give the place the next model that the server has; on an error it keeps the one it had."""
        lost, reasons = place.name or place.wanted, [err.message]
        while place.left:
            tag = place.left.pop(0)
            try:
                name = self._choose(tag)
            except ModelNotUsable as missing:
                reasons.append(missing.message)
                continue
            if name not in self._lost:
                place.lost.append(lost)
                place.reasons += reasons
                place.name, place.moved = name, True
                return
        if len(reasons) == 1:
            raise err
        text = f"{err.message} No fallback works: {' '.join(reasons[1:])}"
        raise ModelNotUsable(text, model=err.model, hint=err.hint)
