"""Where a model comes from, as far as name, architecture and catalogue tell, and whether it may be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..configs.catalog import Catalog
from ..core.errors import Denied

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The families a model comes from.

    Attributes:
        families: its own and that of what it was trained on from; () = unknown.
        origin: countries of their makers, "unknown" when no family is known.
    """

    families: tuple[str, ...]
    origin: str


def lineage(catalog: Catalog, name: str, architecture: str = "") -> Lineage:
    """Return where a model comes from.

    The catalogue knows its own models; of others the name tells, and the architecture where it belongs to one family:
    a model with another name on Qwen's architecture derives from Qwen.

    Args:
        name: as the server lists it.
        architecture: as the server tells it, "" = it does not.
    """
    known = catalog.find(name)
    if known is not None:
        families = [known.family, known.base]
    else:
        families = [family for family, facts in catalog.families.items() if _named(name, facts.names)]
        families += _by_architecture(catalog, architecture, families)
    distinct = tuple(dict.fromkeys(filter(None, families)))
    origins = dict.fromkeys(catalog.families[family].origin for family in distinct)
    return Lineage(distinct, ", ".join(origins) or UNKNOWN)


def denied_family(catalog: Catalog, name: str, architecture: str, denied: Sequence[str]) -> str:
    """Return the denied family that a model belongs to or derives from, "" = none is known.

    Args:
        denied: families of the catalogue, or words that no model's name may hold.
    """
    found = lineage(catalog, name, architecture).families
    for family in denied:
        lowered = family.lower()
        if lowered in found or (lowered not in catalog.families and _named(name, (lowered,))):
            return family
    return ""


def require_allowed(catalog: Catalog, name: str, architecture: str, denied: Sequence[str]) -> None:
    """Check that a model may be used, in whatever role.

    Raises:
        Denied: it belongs to a denied family; the message names the setting.
    """
    if family := denied_family(catalog, name, architecture, denied):
        raise Denied(
            f"the model {name!r} is of the family {family!r}, which the setting models.denied_families denies.",
            hint="Name another with `-m NAME` (`flow models recommend`), or take the family out of that setting.",
        )


def _named(name: str, words: Sequence[str]) -> bool:
    """Return whether one of the words stands in the name with no other letter at its sides."""
    lowered = name.lower()
    for word in words:
        if word not in lowered:
            continue  # most are not, and an expression for each word takes longer than a server's answer
        end = "0-9a-z" if word[-1].isdigit() else "a-z"
        if re.search(rf"(?<![a-z]){re.escape(word)}(?![{end}])", lowered):
            return True
    return False


def _by_architecture(catalog: Catalog, architecture: str, named: Sequence[str]) -> list[str]:
    """Return the family that an architecture belongs to; none when a family of the name explains it."""
    lowered = architecture.lower()
    for family in named:
        if lowered in catalog.families[family].architectures + catalog.families[family].borrowed:
            return []
    return [family for family, facts in catalog.families.items() if lowered in facts.architectures]
