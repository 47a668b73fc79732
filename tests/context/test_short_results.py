"""Old results made short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowloom.context.short_results import paths_in, short_result


def test_a_result_that_fits_stays_as_it_is() -> None:
    assert short_result("one\ntwo", 100) == "one\ntwo"


def test_head_tail_errors_and_paths_stay_and_the_first_line_says_how_much_is_gone() -> None:
    lines = [f"line {at}" for at in range(900)]
    lines[400] = "E   AssertionError: 3 != 4"
    lines[500] = "see src/shop/cart.py:12 for more"
    short = short_result("\n".join(lines), 600)
    for kept in ("line 0", "line 899", lines[400], lines[500]):
        assert f"\n{kept}\n" in f"{short}\n"
    assert short.startswith("[shown short to save room: ") and "of 900 lines left out; call the tool again" in short


def test_paths_are_told_from_attributes_versions_and_addresses() -> None:
    text = "see src/a/b.py:12, README.md and 設定/日本.txt; os.path, self.name, 3.11.7, /abs/z.toml"
    assert paths_in(text) == ["src/a/b.py:12", "README.md", "設定/日本.txt", "/abs/z.toml"]


@given(st.text(alphabet=st.sampled_from("ab/.py \n日Error"), max_size=3000), st.integers(120, 2000))
def test_a_short_result_is_no_longer_than_about_its_limit(text: str, limit: int) -> None:
    short = short_result(text, limit)
    assert short == text or len(short) <= limit + 6 * short.count("[...]") + 20
    assert short_result(short, max(len(short), limit)) == short
