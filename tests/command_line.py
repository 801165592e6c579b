"""The command line as tests run it: in a process of its own, on a quick search."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A real search of a minute at most: digits of 16×16 pixels, one epoch, nothing tracked.
QUICK = (
    "+search=mobilenetv3",
    "dataset.image_size=16",
    "train.epochs=1",
    "train.final_epochs=1",
    "tracking=off",
)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator", *arguments]


@dataclass(frozen=True)
class FinishedRun:
    """A finished search and what its command printed."""

    folder: Path
    overrides: Sequence[str]
    printed: str
