"""Rankings of files for a query: plain BM25, Aider's, and ours with each signal on and off."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowloom.llm.tokens import EstimatingCounter
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.code_search import Signals, rank_files
from flowloom.retrieval.tokenise import index_text, query_terms

from .code_cases import is_source

Ranker = Callable[[str], list[str]]
"""Returns paths for a query, best first."""

VARIANTS: Mapping[str, Signals] = {
    "ours: words": Signals(names=False, history=False, meaning=False),
    "ours: words, names": Signals(history=False, meaning=False),
    "ours: words, commits": Signals(names=False, meaning=False),
    "ours: words, names, commits": Signals(meaning=False),
    "ours: words, names, commits, graph": Signals(graph=True, meaning=False),
    "ours: words, names, graph": Signals(history=False, graph=True, meaning=False),
    "ours: words, commits, graph": Signals(names=False, graph=True, meaning=False),
    "ours: names, commits, graph": Signals(words=False, graph=True, meaning=False),
}


@dataclass(slots=True)
class PlainBm25:
    """BM25 over path and content as one field, identifiers split, nothing stemmed; the floor."""

    root: Path
    _words: dict[str, tuple[tuple[int, int], Counter[str], int]] = field(default_factory=dict)

    def rank(self, query: str, paths: Sequence[str]) -> list[str]:
        """Return the paths that hold words of the query, best first, ties by path."""
        counts = {path: self._count(path) for path in paths}
        average = sum(length for _, length in counts.values()) / max(len(counts), 1) or 1.0
        scores: dict[str, float] = {}
        for term in query_terms(query):
            holding = [(path, words[term], length) for path, (words, length) in counts.items() if term in words]
            weight = math.log(1 + (len(counts) - len(holding) + 0.5) / (len(holding) + 0.5))
            for path, count, length in holding:
                norm = 1.2 * (0.25 + 0.75 * length / average)
                scores[path] = scores.get(path, 0.0) + weight * count * 2.2 / (count + norm)
        return sorted(scores, key=lambda path: (-scores[path], path))

    def _count(self, path: str) -> tuple[Counter[str], int]:
        stat = (self.root / path).stat()
        state = (stat.st_mtime_ns, stat.st_size)
        known = self._words.get(path)
        if known is None or known[0] != state:
            text = (self.root / path).read_text("utf-8", "replace")
            words = Counter(index_text(f"{path} {text}").split())
            known = self._words[path] = (state, words, sum(words.values()))
        return known[1], known[2]


class OurRankers:
    """Our rankings in one folder."""

    def __init__(self, root: Path, cache: Path) -> None:
        self._retriever = CodeRetriever(root, cache, EstimatingCounter())

    def refresh(self) -> None:
        self._retriever.index.refresh()

    def rank(self, query: str, signals: Signals) -> list[str]:
        found = self._retriever.index.read(lambda snapshot: rank_files(snapshot, query, signals=signals))
        return [each.path for each in found]

    def source_paths(self) -> list[str]:
        """Return the pool from which every ranker's answer is taken."""
        return [path for path in self._retriever.index.read(lambda snapshot: snapshot.paths()) if is_source(path)]


class AiderRanker:
    """Aider's ranking, computed by its own interpreter in a process that stays.

    Args:
        interpreter: a Python that has aider-chat 0.86.2.
    """

    def __init__(self, interpreter: str, root: Path) -> None:
        script = str(Path(__file__).with_name("code_aider.py"))
        self._process = subprocess.Popen(
            [interpreter, script, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, query: str, paths: Sequence[str]) -> dict[str, object]:
        """Return {"paths": ranked, "seconds": of its ranking, "rss_mb": peak}."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("aider was started without pipes")
        self._process.stdin.write(json.dumps({"query": query, "paths": list(paths)}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("aider ended")
        answer: dict[str, object] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
