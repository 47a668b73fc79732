"""One piece of a reply that has the form of calls, as every reader of a form returns it."""

from __future__ import annotations

from dataclasses import dataclass

from .call_shapes import RawCall


@dataclass(frozen=True, slots=True)
class Block:
    """Calls that stand together.

    Attributes:
        end: where the piece ends in the reply.
        calls: () when it is broken.
        fault: why it cannot be read, for the model; "" = it can.
        sure: True when its marks mean a call and nothing else; False for what could be an example, such as JSON.
    """

    form: str
    end: int
    calls: tuple[RawCall, ...] = ()
    fault: str = ""
    sure: bool = True


def broken(form: str, text: str, fault: object, *, sure: bool = True) -> Block:
    """Return a block that takes the rest of the reply, for nobody can say where it ends."""
    return Block(form, len(text), fault=str(fault), sure=sure)
