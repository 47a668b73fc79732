from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from flowloom.core.errors import ConfigError
from flowloom.core.ports import Embedder, TokenCounter
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.vectors import VectorIndex

MakeTree = Callable[[Mapping[str, str | bytes]], Path]


class FakeEmbedder(Embedder, Protocol):
    passages: list[str]


MakeEmbedder = Callable[[str, int], FakeEmbedder]
MakeVectors = Callable[[FakeEmbedder], VectorIndex]

TREE: Mapping[str, str | bytes] = {
    "a.py": "def alpha():\n    '''apples and pears'''\n    return 1\n",
    "b.py": "def beta():\n    '''trains and boats'''\n    return 2\n",
    "c.py": "def gamma():\n    '''領収書を提出する'''\n    return 3\n",
}


@pytest.fixture
def index(make_tree: MakeTree, make_index: Callable[[Path], CodeIndex]) -> CodeIndex:
    made = make_index(make_tree(TREE))
    made.refresh()
    return made


@pytest.fixture
def make_vectors(index: CodeIndex, notices: list[str]) -> Iterator[MakeVectors]:
    made: list[VectorIndex] = []

    def make(embedder: FakeEmbedder) -> VectorIndex:
        made.append(VectorIndex(index.path.with_suffix(".vectors"), embedder, notify=notices.append))
        return made[-1]

    yield make
    for vectors in made:
        vectors.close()


def _nearest(index: CodeIndex, vectors: VectorIndex, query: str) -> list[str]:
    shas = vectors.search(query, 10)
    by_sha = {each.text_sha: each.path for each in index.read(lambda snapshot: snapshot.find_passages(shas))}
    return [by_sha[sha] for sha in shas]


def _chroma(index: CodeIndex) -> Path:
    return next(index.path.with_suffix(".vectors").glob("chroma-*"))


def test_the_nearest_passage_comes_first(index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder) -> None:
    vectors = make_vectors(embedder)
    assert vectors.sync(index) == 3
    assert _nearest(index, vectors, "trains boats")[0] == "b.py"
    assert _nearest(index, vectors, "領収書")[0] == "c.py"


def test_only_changed_passages_are_embedded_again(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    vectors = make_vectors(embedder)
    vectors.sync(index)
    embedder.passages.clear()
    make_tree({"a.py": "def alpha():\n    '''ships'''\n    return 1\n", "copy.py": TREE["b.py"]})
    index.refresh()
    assert vectors.sync(index) == 1
    assert embedder.passages == ["alpha\ndef alpha():\n    '''ships'''\n    return 1"]
    assert vectors.sync(index) == 0


def test_what_is_gone_is_not_found(index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder) -> None:
    vectors = make_vectors(embedder)
    vectors.sync(index)
    (index.workspace / "b.py").unlink()
    index.refresh()
    vectors.sync(index)
    assert len(vectors.search("trains boats", 10)) == 2


def test_vectors_are_kept_for_the_next_process(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    second = make_vectors(embedder)
    assert second.sync(index) == 0
    assert len(embedder.passages) == 3
    assert _nearest(index, second, "trains boats")[0] == "b.py"


def test_vectors_of_another_model_do_not_mix(
    index: CodeIndex, make_vectors: MakeVectors, make_embedder: MakeEmbedder
) -> None:
    first = make_vectors(make_embedder("one", 64))
    first.sync(index)
    first.close()
    second = make_vectors(make_embedder("two", 32))
    assert second.sync(index) == 3
    assert len(second.search("trains", 10)) == 3


def test_lost_neighbour_files_are_rebuilt_without_embedding_again(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    shutil.rmtree(_chroma(index))
    second = make_vectors(embedder)
    assert second.sync(index) == 0
    assert _nearest(index, second, "trains boats")[0] == "b.py"


def test_a_damaged_cache_is_rebuilt_and_told(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    (_chroma(index) / "chroma.sqlite3").write_bytes(b"not a database" * 999)
    second = make_vectors(embedder)
    second.sync(index)
    assert _nearest(index, second, "trains boats")[0] == "b.py"
    assert notices == ["the vector index did not agree with the stored vectors and is built anew"]


def test_vectors_that_were_lost_are_computed_again(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    with sqlite3.connect(index.path.with_suffix(".vectors") / "vectors.sqlite3") as db:
        db.execute("UPDATE vectors SET text_sha = 'x' || text_sha")
    db.close()
    second = make_vectors(embedder)
    assert second.sync(index) == 3
    assert notices == []
    assert _nearest(index, second, "trains boats")[0] == "b.py"


def test_vectors_that_are_not_the_stored_ones_are_rebuilt(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    with sqlite3.connect(index.path.with_suffix(".vectors") / "vectors.sqlite3") as db:
        (blob,) = db.execute("SELECT vector FROM vectors").fetchone()
        db.execute("UPDATE vectors SET vector = ?", (blob[4:] + blob[:4],))
    db.close()
    make_vectors(embedder).sync(index)
    assert notices == ["the vector index did not agree with the stored vectors and is built anew"]


def test_a_cache_that_ended_the_process_before_is_not_opened_again(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    before = _chroma(index)
    (index.path.with_suffix(".vectors") / "opening").touch()
    second = make_vectors(embedder)
    assert second.sync(index) == 0
    assert _chroma(index) != before
    assert _nearest(index, second, "trains boats")[0] == "b.py"
    assert len(notices) == 1


def test_damaged_stored_vectors_are_computed_anew(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    (index.path.with_suffix(".vectors") / "vectors.sqlite3").write_bytes(b"not a database" * 999)
    assert make_vectors(embedder).sync(index) == 3
    assert notices[0] == "the stored vectors were damaged and are computed anew"


HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_searches_by_words_and_says_so_once(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    folder = index.path.with_suffix(".vectors")
    folder.mkdir()
    command = [sys.executable, "-c", HOLD, str(folder / "owner.sqlite3")]
    vectors = make_vectors(embedder)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        assert [vectors.sync(index), vectors.sync(index)] == [0, 0]
        assert vectors.search("trains boats", 10) == []
        assert notices == [
            "another process computes the vectors of code; what is new in it is found by its words only"
        ]
        owner.kill()
    assert vectors.sync(index) == 3


def test_an_embedder_that_lies_about_its_dimension_is_refused(
    index: CodeIndex, make_vectors: MakeVectors, make_embedder: MakeEmbedder
) -> None:
    embedder = make_embedder("liar", 64)
    embedder.dimension = 32

    class Liar:
        id = "liar"
        dimension = 16

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text)

        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            return embedder.embed_passages(texts)

    vectors = VectorIndex(index.path.with_suffix(".vectors"), Liar())
    with pytest.raises(ConfigError, match="gave 32 numbers instead of 16"):
        vectors.sync(index)
    vectors.close()


def test_only_the_owner_can_read_the_vectors(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    make_vectors(embedder).sync(index)
    folder = index.path.with_suffix(".vectors")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "vectors.sqlite3").stat().st_mode) == 0o600


def test_the_retriever_adds_what_only_the_vectors_find(
    make_tree: MakeTree, cache_dir: Path, counter: TokenCounter, make_embedder: MakeEmbedder
) -> None:
    embedder = make_embedder("hash", 64)

    class Synonyms:
        id = "synonyms"
        dimension = 64

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text.replace("railway", "trains"))

        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            return embedder.embed_passages(texts)

    retriever = CodeRetriever(make_tree(TREE), cache_dir, counter, Synonyms())
    assert retriever.retrieve("railway", 500, ["code"])[0].path == "b.py"
    retriever.close()
    assert retriever.retrieve("boats", 500, ["code"])[0].path == "b.py"
