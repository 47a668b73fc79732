"""Runs in an interpreter that has aider-chat 0.86.2: ranks files by its repository map for queries on stdin.

What counts as mentioned follows its behaviour: words of the query that are a path or a file name, and words of
five letters or more that are a file's name without its suffix. No file is in the chat.
"""

import json
import os
import re
import resource
import sys
import time

sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]

from aider.repomap import RepoMap  # noqa: E402 - the folder of this script would hide modules of the same name

PUNCTUATION = ",.!;:?\"'`*_()"


class Quiet:
    """What the map needs of Aider's terminal."""

    def read_text(self, path, silent=False):  # noqa: ANN001, ANN201
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def tool_output(self, *args, **more):  # noqa: ANN002, ANN003, ANN201
        pass

    tool_warning = tool_error = tool_output


class Counting:
    """What the map needs of Aider's model."""

    def token_count(self, text):  # noqa: ANN001, ANN201
        return len(text) / 4


def mentions(query, paths):  # noqa: ANN001, ANN201
    """Return (files, identifiers) that the query mentions."""
    words = {word.strip(PUNCTUATION) for word in query.split()}
    idents = set(re.split(r"\W+", query))
    files = {path for path in paths if path in words}
    names = {}
    for path in paths:
        names.setdefault(os.path.basename(path), []).append(path)
    files |= {found[0] for name, found in names.items() if len(found) == 1 and name in words and "." in name}
    long_idents = {ident.lower() for ident in idents if len(ident) >= 5}
    stems = {os.path.splitext(os.path.basename(path))[0].lower(): path for path in paths}
    files |= {path for stem, path in stems.items() if len(stem) >= 5 and stem in long_idents}
    return files, idents


def rank(repo_map, root, query, paths):  # noqa: ANN001, ANN201
    files, idents = mentions(query, paths)
    wholes = [os.path.join(root, path) for path in paths]
    ranked = {}
    for tag in repo_map.get_ranked_tags([], wholes, files, idents, lambda *args: None):
        ranked.setdefault(tag[0])
    return list(ranked)


def main():  # noqa: ANN201
    root = os.path.abspath(sys.argv[1])
    repo_map = RepoMap(map_tokens=4096, root=root, main_model=Counting(), io=Quiet(), refresh="always")
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        found = rank(repo_map, root, asked["query"], asked["paths"])
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"paths": found, "seconds": seconds, "rss_mb": peak}), flush=True)


if __name__ == "__main__":
    main()
