from __future__ import annotations

from flowloom.core.messages import Usage
from flowloom.llm.timely import Silences


def seconds(silences: Silences, *, began: bool, holds_back: bool, max_tokens: int = 1000) -> float:
    return silences.allowed(began=began, holds_back=holds_back, max_tokens=max_tokens).seconds


def test_silence_is_bounded_by_the_setting_that_fits() -> None:
    silences = Silences(300, 60)
    assert seconds(silences, began=False, holds_back=False) == 300
    assert seconds(silences, began=True, holds_back=False) == 60
    assert silences.allowed(began=True, holds_back=False, max_tokens=9).setting == "server.stall_timeout_s"
    assert silences.allowed(began=True, holds_back=True, max_tokens=9).setting == "server.first_token_timeout_s"


def test_call_that_is_held_back_may_take_as_long_as_a_slow_model_needs_for_it() -> None:
    silences = Silences(300, 60)
    assert seconds(silences, began=True, holds_back=True) == 300
    silences.learn(Usage(completion_tokens=100, decode_s=50.0))
    silences.learn(Usage(completion_tokens=100, decode_s=1.0))
    silences.learn(Usage())
    assert seconds(silences, began=True, holds_back=True, max_tokens=4096) == 4096
    assert seconds(silences, began=False, holds_back=True, max_tokens=4096) == 300
    assert seconds(silences, began=True, holds_back=False, max_tokens=4096) == 60
