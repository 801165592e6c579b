"""The environment of Python that LiteRT's converter runs in, apart from this one.

The converter pins old packages (typing_extensions 4.12, pydantic 2.11, with litert-torch 0.10) that
a search cannot live with, and brings 1.5 GB of others. So it has its own, made once by one command,
and is asked in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator import cache_dir, write_whole
from orchestrator.errors import CompileError, DeviceError

__all__ = ["Environment"]

_PACKAGES = ("litert-torch==0.10.0", "ai-edge-quantizer==0.10.0")
_COMMAND = "python -m orchestrator_litert"
_SCRIPT = Path(__file__).with_name("converter.py")
# Converting costs 10 CPU seconds; this is a machine that swaps, or a converter that hangs.
_MOST_SECONDS = 900
# How much of what pip or the converter wrote last is told.
_LINES = 3


@dataclass(frozen=True)
class Environment:
    """A folder with a virtual environment; `ready.json` in it says of what, once it is whole."""

    folder: Path

    @classmethod
    def usual(cls) -> Environment:
        """In the cache folder, which `ORCHESTRATOR_CACHE` moves."""
        return cls(cache_dir() / "litert")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        found = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return self.folder.joinpath(*found)

    def obstacle(self) -> str:
        """Why it cannot be used, as a sentence; empty where it can."""
        try:
            made = json.loads((self.folder / "ready.json").read_text())
        except (OSError, ValueError):
            return f"LiteRT's converter needs an environment of its own, and {self.folder} is none."
        if made != _wanted():
            return f"{self.folder} is of {_told(made)}, expected {_told(_wanted())}."
        if not self.python.exists():
            return f"{self.folder} has lost its Python, {self.python}."
        return ""

    def check(self) -> None:
        """Raise DeviceError with the command that makes it."""
        if obstacle := self.obstacle():
            raise DeviceError(
                f"device=litert: {obstacle} Type once: {_COMMAND} (minutes, 2 GB; "
                "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu spares CUDA's)"
            )

    def make(self) -> None:
        """Make it anew; raises DeviceError with what went wrong."""
        (self.folder / "ready.json").unlink(missing_ok=True)
        pip = [str(self.python), "-m", "pip", "install", "--quiet"]
        _run([sys.executable, "-m", "venv", "--clear", str(self.folder)])
        # By itself first: left to the resolver, another torch would be taken and then replaced.
        _run([*pip, f"torch=={_wanted()['torch']}"])
        _run([*pip, *_PACKAGES])
        write_whole(self.folder / "ready.json", json.dumps(_wanted()))

    def ask(self, request: dict[str, Any]) -> None:
        """Have `converter.py` there do what a request says; raises CompileError with its reason."""
        self.check()
        command = [str(self.python), str(_SCRIPT), json.dumps(request)]
        try:
            done = _ran(command, _MOST_SECONDS)
        except subprocess.TimeoutExpired:
            raise CompileError(f"LiteRT's converter took over {_MOST_SECONDS} s") from None
        if done.returncode:
            raise CompileError(f"LiteRT's converter gives up: {_last(done.stderr, 1)}")


def _wanted() -> dict[str, Any]:
    """What it is made of: networks come to it by torch's own format, which is its version's."""
    return {"format": 1, "torch": version("torch").partition("+")[0], "packages": list(_PACKAGES)}


def _told(made: Any) -> str:
    packages = made.get("packages", []) if isinstance(made, dict) else []
    torch = made.get("torch") if isinstance(made, dict) else None
    return ", ".join([f"torch {torch}", *map(str, packages)])


def _apart() -> dict[str, str]:
    """This process's environment without what would lead Python back to this one's packages."""
    gone = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return {**{k: v for k, v in os.environ.items() if k not in gone}, **quiet}


def _run(command: Sequence[str]) -> None:
    done = _ran(command, None)
    if done.returncode:
        raise DeviceError(f"{' '.join(command[1:4])} … failed: {_last(done.stderr, _LINES)}")


def _ran(command: Sequence[str], seconds: float | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=seconds, env=_apart()
    )


def _last(text: str, count: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-count:]) or "it gave no reason"
