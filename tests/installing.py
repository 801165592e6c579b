"""An example plugin as a stranger gets it: built from a copy, installed beside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["EXAMPLES", "install", "run"]

EXAMPLES = Path(__file__).parents[1] / "examples"


def install(name: str, folder: Path) -> Path:
    """The folder with the built and installed example; a copy is built, so the checkout stays."""
    ignored = shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(EXAMPLES / name, folder / "copy", ignore=ignored)
    target = folder / "site"
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", target, copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(site: Path, *arguments: str, cwd: Path) -> str:
    """What Python prints with the installed example on its path."""
    before = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), before]))}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
