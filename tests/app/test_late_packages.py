from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from flowloom.app.late_packages import LATE, put_off

NAME = "client_of_a_service"

Package = Callable[[str], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Give what imports a package with this `__init__` and a module `small`, put off."""

    def imported(init: str) -> ModuleType:
        folder = tmp_path / NAME
        folder.mkdir()
        (folder / "__init__.py").write_text(init, "utf-8")
        (folder / "small.py").write_text("SMALL = 'small'\n", "utf-8")
        (folder / "large.py").write_text("LARGE = 'large'\n", "utf-8")
        with put_off(frozenset({NAME})):
            return importlib.import_module(NAME)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield imported
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def loaded(module: str) -> bool:
    return f"{NAME}.{module}" in sys.modules


def test_module_below_a_package_is_imported_without_what_the_package_imports(package: Package) -> None:
    package("from .large import LARGE\n")
    assert importlib.import_module(f"{NAME}.small").SMALL == "small"
    assert not loaded("large")


def test_name_of_the_package_runs_its_init_in_the_module_that_everybody_has(package: Package) -> None:
    late = package("from .large import LARGE\nTIMES = globals().get('TIMES', 0) + 1\n")
    assert late.LARGE == "large"
    assert sys.modules[NAME] is late
    assert (type(late), late.TIMES, late.LARGE) == (ModuleType, 1, "large")


def test_from_import_and_star_import_get_the_real_names(package: Package) -> None:
    package("from .large import LARGE\n__all__ = ['LARGE']\n")
    names: dict[str, object] = {}
    exec(f"from {NAME} import *", names)
    assert names["LARGE"] == "large"


def test_name_that_the_package_lacks_is_an_attribute_error_as_ever(package: Package) -> None:
    late = package("from .large import LARGE\n")
    with pytest.raises(AttributeError, match=f"module '{NAME}' has no attribute 'nothing'"):
        _ = late.nothing
    assert loaded("large")


def test_names_that_a_package_gives_by_a_function_of_its_own_are_found(package: Package) -> None:
    late = package("def __getattr__(name):\n    return name.upper()\n")
    assert (late.first, late.second) == ("FIRST", "SECOND")


def test_init_that_asks_the_package_itself_sees_what_it_would_see(package: Package) -> None:
    late = package(f"import {NAME} as me\nBEFORE = hasattr(me, 'LATER')\nLATER = 1\n")
    assert (late.BEFORE, late.LATER) == (False, 1)


def test_init_that_fails_is_told_to_each_who_asks(package: Package) -> None:
    late = package("import no_such_library\n")
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_library"):
            _ = late.LARGE


def test_init_runs_once_and_whole_for_two_threads_that_ask_at_once(package: Package) -> None:
    late = package(
        "import threading\nPASSED = threading.Event()\nPASSED.wait(0.05)\nRUNS = globals().get('RUNS', 0) + 1\n"
    )
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(late.RUNS)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == [1, 1]


def test_files_of_a_package_are_found_before_its_init_has_run(package: Package) -> None:
    late = package("from .large import LARGE\n")
    assert files(late).joinpath("small.py").read_text("utf-8") == "SMALL = 'small'\n"
    assert not loaded("large")


def test_nothing_is_put_off_afterwards_or_elsewhere(package: Package) -> None:
    package("")
    before = list(sys.meta_path)
    with put_off(frozenset({"another"})):
        del sys.modules[NAME]
        assert type(importlib.import_module(NAME)) is ModuleType
    assert sys.meta_path == before


# Imports the engine as a run does, then takes what a person's own graph may use of the packages put off.
USE = """
import asyncio, json, sys
from flowloom.app.engine import engine_beside

async def import_engine():
    async with engine_beside(None):
        pass

asyncio.run(import_engine())
late = {name: type(sys.modules[name]).__name__ for name in LATE}
heavy = [name for name in ("langgraph_sdk.client", "langsmith.types.sandbox_response") if name in sys.modules]

from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import LangChainTracer
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langsmith import Client, RunTree, traceable
from langsmith.types import SandboxResponse
from langgraph_sdk import get_client
from langgraph_sdk.auth import Auth
from langgraph.pregel.remote import RemoteGraph

runs = RunCollectorCallbackHandler()
double = RunnableLambda(lambda number: number * 2)

async def events():
    return [event["event"] async for event in double.astream_events(2, version="v2", config={"callbacks": [runs]})]

told = asyncio.run(events())
names = [each.__module__ for each in (SandboxResponse, get_client, Auth, RemoteGraph, Client)]
print(json.dumps([late, heavy, told, [type(run).__name__ for run in runs.traced_runs], names]))
"""


def test_engine_puts_off_the_clients_and_a_graph_of_one_s_own_gets_the_real_ones() -> None:
    code = f"LATE = {sorted(LATE)!r}\n{USE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    late, heavy, told, runs, names = json.loads(done.stdout)
    # A package that is no longer here is one that LangGraph no longer imports: its name can go from LATE.
    assert late == dict.fromkeys(LATE, "_LatePackage")
    assert heavy == []
    assert told == ["on_chain_start", "on_chain_stream", "on_chain_end"]
    assert runs == ["RunTree"]
    assert names == [
        "langsmith.types.sandbox_response",
        "langgraph_sdk._async.client",
        "langgraph_sdk.auth",
        "langgraph.pregel.remote",
        "langsmith.client",
    ]
