"""What reports are, the worst first; triage.py imports it."""

LABELS = "crash = it stops; wrong = its answer is wrong; wish = something new."

_ORDER = ("crash", "wrong", "wish")


def worst_first(labelled: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(labelled, key=lambda one: _ORDER.index(one["label"]))
