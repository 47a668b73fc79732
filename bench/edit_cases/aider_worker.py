"""Reads tasks as JSON lines and answers with what Aider makes of them; runs in an interpreter that has Aider.

Imports nothing of Flowloom. `do_replace` is what Aider calls for each block of an edit; both texts end with a newline
there, as its own parser gives them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from typing import Any


def main() -> None:
    """Say that Aider is there, then answer every line of stdin by one of stdout."""
    do_replace = importlib.import_module("aider.coders.editblock_coder").do_replace
    # What Aider itself prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.txt")
        for line in sys.stdin:
            print(json.dumps(_answer(do_replace, path, json.loads(line))), file=answers, flush=True)


def _answer(do_replace: Any, path: str, asked: dict[str, str]) -> dict[str, Any]:
    old, new = (text if not text or text.endswith("\n") else text + "\n" for text in (asked["old"], asked["new"]))
    began = time.perf_counter()
    said = ""
    try:
        # Its reader turns every line end into LF.
        text = do_replace(path, asked["text"].replace("\r\n", "\n"), old, new, ("`" * 3, "`" * 3))
    except ValueError as err:  # what it raises for `...` that do not pair
        text, said = None, str(err)
    return {"text": text, "ms": (time.perf_counter() - began) * 1000, "said": said}


if __name__ == "__main__":
    main()
