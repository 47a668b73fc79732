from __future__ import annotations

from pathlib import Path

import pytest

from flowloom.configs.dirs import Dirs, find_dirs
from flowloom.configs.trust import TrustStore, trust_store


@pytest.fixture
def dirs(tmp_path: Path) -> Dirs:
    return find_dirs({"FLOW_HOME": str(tmp_path / "home")})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "仕事 space"
    folder.mkdir()
    return folder


@pytest.fixture
def trust(dirs: Dirs) -> TrustStore:
    return trust_store(dirs)
