"""Runs `flow` in this process and writes down, one JSON line each, which programs it starts, what it connects to, and
which code it runs or files it opens below the places that are watched.

Arguments: the log, the places, --, the words.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_CUT = sys.argv.index("--")
_LOG = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
_PLACES = tuple(os.path.join(place, "") for place in sys.argv[2:_CUT])


def _note(**facts: Any) -> None:
    os.write(_LOG, (json.dumps(facts, default=os.fsdecode) + "\n").encode("utf-8", "replace"))


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        program, argv, cwd, env = args
        path = (os.environ if env is None else env).get("PATH", "")
        _note(kind="started", program=program, argv=[os.fsdecode(word) for word in argv], cwd=cwd, path=path)
    elif event in ("os.system", "os.exec", "os.posix_spawn", "pty.spawn"):
        _note(kind="started", program=args[0], argv=[], cwd=None, path="")
    elif event == "socket.connect" and isinstance(args[1], tuple):
        _note(kind="connected", port=args[1][1])
    elif event == "exec" and args[0].co_filename.startswith(_PLACES):
        _note(kind="executed", file=args[0].co_filename)
    elif event == "open" and isinstance(args[0], str) and args[0].startswith(_PLACES):
        _note(kind="opened", file=args[0])


sys.addaudithook(_watch)
sys.argv = ["flow", *sys.argv[_CUT + 1 :]]

from flowloom.cli.app import main  # noqa: E402 - what it imports is to be watched too

main()
