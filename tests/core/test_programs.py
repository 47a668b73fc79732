from __future__ import annotations

import pytest

from flowloom.core.programs import safe_path


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/usr/bin:/bin", "/usr/bin:/bin"),
        (".:/usr/bin:./node_modules/.bin::bin:", "/usr/bin"),
        (".", "/bin:/usr/bin"),
        ("", "/bin:/usr/bin"),
    ],
)
def test_programs_are_never_looked_for_in_the_current_folder(path: str, kept: str) -> None:
    assert safe_path(path) == kept
