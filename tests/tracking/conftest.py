"""A store that is there already, and a search."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tracked import WAIT_S, Search, refuse_notes

from orchestrator.config import TrackingConfig
from orchestrator.tracking import Tracker


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, because a new one costs two seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracker = Tracker(TrackingConfig(experiment="nothing"), path, refuse_notes)
    search = Search(path.parent)
    tracker.orchestrator_search_started(search)
    assert tracker.close(WAIT_S)
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture
def search(tmp_path: Path) -> Search:
    (tmp_path / "run").mkdir()
    return Search(tmp_path / "run")
