"""Where things lie on disk."""

from __future__ import annotations

import os
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from orchestrator.errors import RunError

__all__ = ["cache_dir", "config_dir", "example_dir", "run_dir"]


def config_dir() -> Path:
    """The folder of built-in YAML: inside the package (wheel), else beside it (checkout)."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def example_dir() -> Path:
    """The example plugin: inside the package (wheel), else in the checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "example_plugin"
    return inside if inside.is_dir() else package.parent / "examples" / "tiny_plugin"


def cache_dir() -> Path:
    """Where decoded images, weights and latencies stay; `ORCHESTRATOR_CACHE` moves it."""
    chosen = os.environ.get("ORCHESTRATOR_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(chosen) if chosen else (Path(base) if base else _home() / ".cache") / "orchestrator"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise RunError(
            f"there is no home folder to keep things in: {error} Set ORCHESTRATOR_CACHE to a "
            "folder that can be written."
        ) from error


def run_dir(name: str, now: datetime) -> Path:
    """The default folder of a run that starts `now`, below the working directory; a new one."""
    path = Path("runs") / f"{now:%Y-%m-%d_%H-%M-%S}_{name}"
    beside = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(found for found in chain([path], beside) if not found.exists())
