"""What was seen of image files, kept beside decoded images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import write_whole
from orchestrator.errors import DataError, RunError

__all__ = ["keep", "kept"]


def kept(path: Path, names: Sequence[str]) -> dict[str, Any] | None:
    """The values of `names` that `keep` wrote; None where they are not there or damaged."""
    try:
        seen = json.loads(path.read_text("utf-8"))
        return {name: seen[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(path: Path, known: Mapping[str, Any]) -> None:
    """Whole or not at all; processes that look at once write the same. Raises DataError."""
    try:
        write_whole(path, json.dumps(known))
    except RunError as error:
        raise DataError(
            f"cannot keep what was seen of images in {path.parent}: {error}. Free some space, or "
            "set dataset.cache (or ORCHESTRATOR_CACHE) to a folder that can be written."
        ) from error
