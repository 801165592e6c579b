"""What was seen of image files, kept beside decoded images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import write_whole
from orchestrator.errors import DataError, RunError

__all__ = ["NUMBERS", "TEXTS", "keep", "kept"]

# What a kept value is: a whole number, or a list of numbers or of texts.
NUMBERS, TEXTS = [int | float], [str]


def kept(
    path: Path, form: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The values that `keep` wrote; None where they are not there or damaged: look again.

    `form` says of each what it is: int, `NUMBERS` or `TEXTS`; `usual` is what a file of before some
    were kept has for them.
    """
    try:
        seen = json.loads(path.read_text("utf-8"))
        known = {name: (usual or {}).get(name) if name not in seen else seen[name] for name in form}
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return known if all(_is(known[name], kind) for name, kind in form.items()) else None


def keep(path: Path, known: Mapping[str, Any]) -> None:
    """Whole or not at all; processes that look at once write the same. Raises DataError."""
    try:
        write_whole(path, json.dumps(known))
    except RunError as error:
        raise DataError(
            f"cannot keep what was seen of images in {path.parent}: {error}. Free some space, or "
            "set dataset.cache (or ORCHESTRATOR_CACHE) to a folder that can be written."
        ) from error


def _is(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(each, kind[0]) for each in value)
    return isinstance(value, kind) and not isinstance(value, bool)
