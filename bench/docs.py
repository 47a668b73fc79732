"""`python -m bench.docs --data FOLDER`, from the root of the checkout: how well documents are found, and how fast.

FOLDER holds clones of yahoojapan/JGLUE and deepmind/xquad (or the two files alone). Prints two tables in Markdown;
ends with 1 when a limit is passed, with 2 when it cannot run. Without --data only the speed is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from flowloom.core.errors import FlowError
from flowloom.core.ports import Embedder
from flowloom.retrieval.embed_folder import choose_runtime
from flowloom.retrieval.embed_onnx import OnnxEmbedder
from flowloom.retrieval.embed_torch import SentenceTransformerEmbedder
from flowloom.retrieval.embeddings import find_model

from . import docs_speed
from .docs_quality import LIMITS, Questions, Ranker, Score, measure, naive, product, read_questions, trigram
from .machine import at_this_speed
from .rows import table

_WORDS, _MEANING, _BOTH = "flow, by words", "flow, by meaning", "flow, both"
FILES = {"JSQuAD 1.3 valid": "valid-v1.3.json", "XQuAD en": "xquad.en.json"}


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    try:
        scores = _quality(options.data, options.every, _embedder(options)) if options.data else []
    except (FlowError, OSError) as err:
        print(err, file=sys.stderr)
        return 2
    if scores:
        print(_table(scores))
    speed = [] if options.no_speed else at_this_speed(docs_speed.run())
    if speed:
        print(table(speed))
    return 0 if all(row.ok for row in speed) and all(score.ok for score in scores) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.docs", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder that holds the two sets of questions, at any depth")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th question")
    parser.add_argument("--weights", type=Path, help="folder of weights: by meaning and both ways as well")
    parser.add_argument("--model", default="multilingual-e5-small", help="which model the weights are")
    parser.add_argument("--no-speed", action="store_true", help="only how well they are found")
    return parser.parse_args(arguments)


def _embedder(options: argparse.Namespace) -> Embedder | None:
    """Return what runs the weights; None = there are none.

    Raises:
        ConfigError: the folder lacks files, or the model is not known.
    """
    if not options.weights:
        return None
    model = find_model(options.model)
    if choose_runtime(options.weights, "cpu") == "onnx":
        return OnnxEmbedder(options.weights, model)
    return SentenceTransformerEmbedder(options.weights, "cpu", model)


def _quality(data: Path, every: int, embedder: Embedder | None) -> list[Score]:
    """Return the scores of each way to search on each set that is in the folder.

    Raises:
        OSError: neither is.
    """
    scores: list[Score] = []
    for name, file in FILES.items():
        found = next(iter(sorted(data.rglob(file))), None)
        if found is None:
            print(f"{file} is not in {data}: {name} is left out", file=sys.stderr)
            continue
        questions = read_questions(name, found, every)
        scores += limit_both(
            [_score(each, ranker, questions, embedder, every == 1) for each, ranker in _rankers(embedder)]
        )
    if not scores:
        raise OSError(f"neither {' nor '.join(FILES.values())} is in {data}")
    return scores


def limit_both(scores: Sequence[Score]) -> list[Score]:
    """Return the scores of one set, where the search both ways has to find at least what either of them finds."""
    best = max((score.recall[5] for score in scores if score.name in (_WORDS, _MEANING)), default=0.0)
    return [replace(score, limits={5: best}) if score.name == _BOTH else score for score in scores]


def _rankers(embedder: Embedder | None) -> list[tuple[str, Callable[[Questions, Path, Embedder | None], Ranker]]]:
    ways = [
        ("FTS5 as it comes", lambda questions, folder, _: naive(questions)),
        ("FTS5 trigram", lambda questions, folder, _: trigram(questions)),
        (_WORDS, lambda questions, folder, _: product(questions, folder, None)),
    ]
    if embedder is not None:
        ways += [
            (_MEANING, lambda questions, folder, model: product(questions, folder, model, words=False)),
            (_BOTH, lambda questions, folder, model: product(questions, folder, model)),
        ]
    return ways


def _score(
    name: str,
    ranker: Callable[[Questions, Path, Embedder | None], Ranker],
    questions: Questions,
    embedder: Embedder | None,
    whole: bool,
) -> Score:
    print(f"{questions.name}, {name} ...", file=sys.stderr)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # A part of the questions is a sample: the limits are those of all.
        limits = LIMITS.get(questions.name, {}) if name == _WORDS and whole else {}
        return measure(name, questions, ranker(questions, folder, embedder), limits)


def _table(scores: Sequence[Score]) -> str:
    lines = ["| set | search | R@1 | R@5 | R@10 | MRR@10 | limits |  |", "|---|---|---|---|---|---|---|---|"]
    for each in scores:
        shares = " | ".join(f"{each.recall[rank]:.2f}" for rank in (1, 5, 10))
        limits = ", ".join(f"R@{rank} >= {limit:.4g}" for rank, limit in each.limits.items())
        verdict = ("ok" if each.ok else "NOT MET") if each.limits else ""
        lines.append(f"| {each.questions} | {each.name} | {shares} | {each.mrr:.4f} | {limits} | {verdict} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
