"""Fixtures of the made-up space with weights, and a server that stands in for the hub."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from offering import offering
from trained_space import NEAR, SURE, TrainedPlugin

from orchestrator import ImageFacts, SearchSpace
from orchestrator.plugins import Plugins


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def trained(cache: Path) -> Iterator[Plugins]:
    """The space of `trained_space`, offered as an installed plugin would."""
    with offering(TrainedPlugin(), "trained") as plugins:
        yield plugins


@pytest.fixture
def space(trained: Plugins) -> SearchSpace:
    """As a search that starts from `trained/sure` makes it."""
    return trained.create("space", "trained", {"preset": "full", "slope": 0.1})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server on this machine in the hub's place; gives the paths it was asked for."""
    folder = tmp_path / "hub" / "toys" / "trained" / "resolve" / "main"
    folder.mkdir(parents=True)
    (folder / "sure.safetensors").write_bytes(SURE)
    (folder / "near.pth").write_bytes(NEAR)
    asked: list[str] = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "hub"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub that nobody answers for; gives its host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", f"http://{host}")
    return host


@pytest.fixture
def facts() -> Callable[..., ImageFacts]:
    def made(classes: int = 3, channels: int = 3) -> ImageFacts:
        return ImageFacts.unnamed(16, in_channels=channels, classes=classes)

    return made
