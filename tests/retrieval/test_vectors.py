from __future__ import annotations

import math
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from flowloom.core.errors import ConfigError, ModelFault, ModelUnavailable
from flowloom.core.ports import Embedder, TokenCounter
from flowloom.retrieval.code_index import CodeIndex
from flowloom.retrieval.code_retriever import CodeRetriever
from flowloom.retrieval.vectors import AT_ONCE, EXACT_LIMIT, VectorIndex

MakeTree = Callable[[Mapping[str, str | bytes]], Path]


class FakeEmbedder(Embedder, Protocol):
    passages: list[str]


MakeEmbedder = Callable[[str, int], FakeEmbedder]
MakeVectors = Callable[..., VectorIndex]

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

    def make(embedder: Embedder, exact_limit: int = EXACT_LIMIT) -> VectorIndex:
        folder = index.path.with_suffix(".vectors")
        made.append(VectorIndex(folder, embedder, notify=notices.append, exact_limit=exact_limit))
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
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    shutil.rmtree(_chroma(index))
    second = make_vectors(embedder)
    assert second.sync(index) == 0
    assert _nearest(index, second, "trains boats")[0] == "b.py"
    assert notices == ["the vector index was gone and is built anew from the stored vectors"]


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
    embedder = make_embedder("liar", 32)

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


ONE_SHOT = """
import pathlib, sys
from flowloom.retrieval.vectors import VectorIndex
TEXTS = {"a": "x", "b": "yy"}
class Embedder:
    id, dimension = "fake", 2
    def embed_query(self, text): return [1.0, 0.0] if "x" in text else [0.0, 1.0]
    def embed_passages(self, texts): return [self.embed_query(text) for text in texts]
class Source:
    def generation(self): return 1
    def text_shas(self): return set(TEXTS)
    def passage_texts(self, shas): return ((sha, TEXTS[sha]) for sha in shas)
vectors = VectorIndex(pathlib.Path(sys.argv[1]), Embedder(), exact_limit=int(sys.argv[3]))
if sys.argv[2] == "sync":
    vectors.sync(Source())
print(vectors.rank(Source(), "yy", 9), sorted({"chromadb"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("limit", "loaded"), [("2", "[]"), ("1", "['chromadb']")])
def test_a_single_query_loads_chroma_only_beyond_the_limit(tmp_path: Path, limit: str, loaded: str) -> None:
    def run(*words: str) -> str:
        command = [sys.executable, "-c", ONE_SHOT, str(tmp_path), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert run("sync", limit) == "['b', 'a'] ['chromadb']\n"
    assert run("rank", limit) == f"['b', 'a'] {loaded}\n"


def test_chroma_and_the_exact_search_give_the_same(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    make_tree({f"m{at}.py": f"def m{at}():\n    return 'word{at} word{at % 7} word{at % 3}'\n" for at in range(60)})
    index.refresh()
    first = make_vectors(embedder, 0)
    first.sync(index)
    queries = ["word3 word2", "trains boats", "領収書", "word50"]
    by_chroma = [first.search(query, 100) for query in queries]
    first.close()
    second = make_vectors(embedder)
    assert [second.rank(index, query, 100) for query in queries] == by_chroma
    second.close()
    third = make_vectors(embedder, 10)
    assert [third.rank(index, query, 100) for query in queries] == by_chroma


def test_an_index_beyond_the_limit_that_lost_its_files_is_made_anew_when_it_is_asked(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    shutil.rmtree(_chroma(index))
    second = make_vectors(embedder, 1)
    assert len(second.rank(index, "trains boats", 10)) == 3
    assert _chroma(index).is_dir()
    assert len(embedder.passages) == 3


def test_a_second_index_can_search_while_the_first_owns_the_folder(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder, 1)
    first.sync(index)
    make_tree({"d.py": "def delta():\n    return 'ships'\n"})
    index.refresh()
    second = make_vectors(embedder, 1)
    assert len(second.rank(index, "trains boats", 10)) == 3
    assert notices == ["another process computes the vectors of code; what is new in it is found by its words only"]
    first.sync(index)
    assert len(second.rank(index, "trains boats", 10)) == 4


def test_the_folder_is_free_as_soon_as_the_vectors_are_there(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first, second = make_vectors(embedder), make_vectors(embedder)
    first.sync(index)
    make_tree({"d.py": "def delta():\n    return 'ships'\n"})
    index.refresh()
    assert second.sync(index) == 1
    assert len(first.rank(index, "ships", 10)) == len(second.rank(index, "ships", 10)) == 4
    assert notices == []


def test_many_new_texts_are_left_to_sync_when_somebody_waits(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    vectors = make_vectors(embedder)
    vectors.sync(index)
    make_tree({f"more{at}.py": f"def more{at}():\n    return {at}\n" for at in range(AT_ONCE + 1)})
    index.refresh()
    assert vectors.missing(index) == AT_ONCE + 1
    assert len(vectors.rank(index, "trains", 100)) == 3
    assert len(vectors.rank(index, "boats", 100)) == 3
    told = f"{AT_ONCE + 1} passages of code have no vectors yet and are found by their words only; `flow index build`"
    assert [notice.startswith(told) for notice in notices] == [True]
    assert vectors.sync(index) == AT_ONCE + 1
    assert vectors.missing(index) == 0
    assert len(vectors.rank(index, "trains", 100)) == AT_ONCE + 4


def test_what_the_model_cannot_read_is_found_by_words_only_and_told(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    class Latin:
        id = "latin"
        dimension = 64
        asked = 0

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text) if text.isascii() else []

        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            self.asked += len(texts)
            return [self.embed_query(text) for text in texts]

    latin = Latin()
    vectors = make_vectors(latin)
    assert vectors.sync(index) == 3
    assert set(_nearest(index, vectors, "trains boats")) == {"a.py", "b.py"}
    assert vectors.rank(index, "領収書", 10) == []
    assert vectors.missing(index) == 0
    told = "1 of 3 passages of code are in a script that the embedding model does not know"
    assert [notice.startswith(told) for notice in notices] == [True]
    vectors.close()
    again = make_vectors(latin)
    again.sync(index)
    assert (latin.asked, len(again.search("trains", 10))) == (3, 2)


def test_the_search_goes_on_while_texts_are_embedded(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Failing):
        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            begun.set()
            go_on.wait(10)
            return super().embed_passages(texts)

    vectors = make_vectors(Slow(embedder, 9, ValueError()))
    make_tree({"d.py": "def delta():\n    return 'ships'\n"})
    vectors.rank(index, "trains", 10)
    index.refresh()
    other = threading.Thread(target=vectors.sync, args=[index])
    other.start()
    assert begun.wait(10)
    assert len(vectors.rank(index, "trains", 10)) == 3
    go_on.set()
    other.join()
    assert len(vectors.rank(index, "trains", 10)) == 4


def test_to_count_what_is_missing_makes_no_folder(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    assert make_vectors(embedder).missing(index) == 3
    assert not index.path.with_suffix(".vectors").exists()


def test_progress_is_told_batch_by_batch(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    make_tree({f"more{at}.py": f"def more{at}():\n    return {at}\n" for at in range(97)})
    index.refresh()
    told: list[tuple[int, int]] = []
    make_vectors(embedder).sync(index, lambda done, total: told.append((done, total)))
    assert told == [(0, 100), (64, 100), (100, 100)]


@dataclass
class Failing:
    """An embedder that fails after some passages."""

    inner: FakeEmbedder
    left: int
    error: Exception
    id: str = "hash-64"
    dimension: int = 64

    def embed_query(self, text: str) -> list[float]:
        return self.inner.embed_query(text)

    def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        self.left -= len(texts)
        if self.left < 0:
            raise self.error
        return self.inner.embed_passages(texts)


def test_a_broken_sync_goes_on_where_it_was(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder
) -> None:
    make_tree({f"more{at}.py": f"def more{at}():\n    return {at}\n" for at in range(97)})
    index.refresh()
    away = ModelUnavailable("the server is away.")
    vectors = make_vectors(Failing(embedder, 64, away))
    with pytest.raises(ModelUnavailable):
        vectors.sync(index)
    vectors.close()
    assert make_vectors(embedder).sync(index) == 36
    assert len(embedder.passages) == len(set(embedder.passages)) == 100


@pytest.mark.parametrize("error", [ModelUnavailable("the server is away."), ModelFault("the server is broken.")])
def test_a_server_that_fails_leaves_an_answer_to_words_and_is_told_once(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str], error: Exception
) -> None:
    vectors = make_vectors(Failing(embedder, 0, error))
    assert vectors.rank(index, "trains", 10) == vectors.rank(index, "boats", 10) == []
    assert notices == [f"search by meaning is off: {error}"]


def test_a_model_that_was_replaced_under_its_name_has_all_vectors_computed_anew(
    index: CodeIndex, make_tree: MakeTree, make_vectors: MakeVectors, embedder: FakeEmbedder, notices: list[str]
) -> None:
    first = make_vectors(embedder)
    first.sync(index)
    first.close()
    make_tree({"d.py": "def delta():\n    return 'ships'\n"})
    index.refresh()

    class Replaced:
        id = embedder.id
        dimension = 64

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text)[::-1]

        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            return [self.embed_query(text) for text in texts]

    second = make_vectors(Replaced())
    assert second.sync(index) == 4
    assert notices == [
        "the embedding model is not the one that the stored vectors are of; all are computed anew",
        "the vector index did not agree with the stored vectors and is built anew",
    ]
    assert _nearest(index, second, "trains boats")[0] == "b.py"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_vector_that_is_not_of_numbers_is_refused(
    index: CodeIndex, make_vectors: MakeVectors, embedder: FakeEmbedder, number: float
) -> None:
    class Broken:
        id = "broken"
        dimension = 64

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text)

        def embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
            return [[number, *embedder.embed_query(text)[1:]] for text in texts]

    vectors = make_vectors(Broken())
    with pytest.raises(ConfigError, match="gave a vector that is not of numbers"):
        vectors.sync(index)
    assert vectors.missing(index) == 3


KILLED = """
import os, pathlib, signal, sys
from flowloom.retrieval.vectors import VectorIndex
class Embedder:
    id, dimension = "fake", 2
    asked = 0
    def embed_query(self, text): return [1.0, 0.0]
    def embed_passages(self, texts):
        Embedder.asked += 1
        if Embedder.asked == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return [[1.0, float(len(text))] for text in texts]
class Source:
    def generation(self): return 1
    def text_shas(self): return {str(at) for at in range(300)}
    def passage_texts(self, shas): return ((sha, sha) for sha in shas)
print(VectorIndex(pathlib.Path(sys.argv[1]), Embedder()).sync(Source()))
"""


def test_killed_again_and_again_each_text_is_embedded_once(tmp_path: Path) -> None:
    left = []
    for _ in range(3):
        command = [sys.executable, "-c", KILLED, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        db = sqlite3.connect(tmp_path / "vectors.sqlite3")
        left.append(300 - db.execute("SELECT count(*) FROM vectors").fetchone()[0])
        db.close()
    assert left == [172, 44, 0]
    assert done.stdout == "44\n"


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
