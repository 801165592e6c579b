"""A runtime whose files are words: how long they take, in seconds, or what else they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from orchestrator import Artifact, Runtime

LOADER = """
import os, time

def facts(options):
    return {"runtime": "words 1"}

class Session:
    def __init__(self, word):
        if word == "broken":
            raise ValueError("no network")
        self.word = word

    def run(self):
        if self.word == "deadly":
            os.kill(os.getpid(), 9)
        time.sleep(float(self.word))

def load(path, options):
    with open(path) as file:
        return Session(file.read())
"""


class Words(Runtime):
    """Its files are how long they take, in seconds."""

    name = "words"
    formats: ClassVar[frozenset[str]] = frozenset({"txt"})
    packages = ("wordy",)

    def __init__(self, folder: Path, loader: str = LOADER, *, reference: str = "0.001") -> None:
        self.folder = folder
        self.reference_word = reference
        self.loader = folder / "loader.py"  # type: ignore[misc]
        self.loader.write_text(loader)

    @property
    def options(self) -> Mapping[str, Any]:
        return {}

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        path.write_text(network)
        return Artifact(path, "txt", exact=True)

    def reference(self, folder: Path) -> Artifact:
        return self.compile(self.reference_word, None, folder / "reference")

    def ms_of(self, *words: str) -> list[float]:
        files = [self.compile(word, None, self.folder / f"file of {word}") for word in words]
        return [latency.ms for latency in self.latencies(files, 1.0, self.folder)]
