"""Which images a run began with, kept in its folder and compared when it goes on.

data.json holds the summary and, of each split, every image's name, label and hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from orchestrator.contracts import Dataset
from orchestrator.data.counting import DataSummary, summarise
from orchestrator.data.pins import SPLITS, Pins, pins_of
from orchestrator.errors import DataError, RunError, plural
from orchestrator.files import read_json, write_json

__all__ = ["Pins", "check_pins", "keep_pins", "kept_summary"]

_FILE, _FORMAT = "data.json", 1
_NAMED = 5


def keep_pins(folder: Path, dataset: Dataset) -> None:
    """Write what tells the run's images; raises RunError for a disk that takes no more."""
    pins = pins_of(dataset)
    told = summarise(dataset, pins).to_json()
    images = {name: found.to_json() for name, found in pins.items()}
    write_json(folder / _FILE, {"summary": told, "images": images}, format=_FORMAT)


def kept_summary(folder: Path) -> DataSummary | None:
    """What the run's folder says of its images; None for a run of before it did.

    Raises RunError for a damaged file.
    """
    stored = _stored(folder)
    return None if stored is None else _summary(stored, folder)


def check_pins(folder: Path, dataset: Dataset) -> list[str]:
    """Hold a dataset against what the run began with; what has changed, in sentences.

    Raises DataError for other classes, and for images that have moved to another split: they
    would be trained on and tested with. A run of before there were pins gets them now.
    """
    stored = _stored(folder)
    if stored is None:
        keep_pins(folder, dataset)
        return ["the run does not say which images it began with; from now on it does."]
    _check_classes(_summary(stored, folder).classes, tuple(map(str, dataset.classes)))
    try:
        before: dict[str, Pins] = {name: Pins.from_json(stored["images"][name]) for name in SPLITS}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / _FILE} is damaged: {error!r}. Restore it.") from error
    now: Mapping[str, Pins] = dict(pins_of(dataset))
    _check_moved(before, now)
    return [text for name in SPLITS if (text := _changed(name, before[name], now[name]))]


def _stored(folder: Path) -> dict[str, Any] | None:
    path = folder / _FILE
    return read_json(path, format=_FORMAT) if path.is_file() else None


def _summary(stored: Mapping[str, Any], folder: Path) -> DataSummary:
    try:
        return DataSummary.from_json(stored["summary"])
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / _FILE} is damaged: {error!r}. Restore it.") from error


def _check_classes(before: tuple[str, ...], now: tuple[str, ...]) -> None:
    if before == now:
        return
    gone, new = sorted(set(before) - set(now)), sorted(set(now) - set(before))
    parts = [f"without {', '.join(gone)}"] if gone else []
    parts += [f"with {', '.join(new)}"] if new else []
    raise DataError(
        f"the classes are {', '.join(now)} now ({' and '.join(parts) or 'in another order'}), "
        f"expected {', '.join(before)} as when the run began: its candidates were judged on those. "
        "Restore the folder, or start a search of its own."
    )


def _check_moved(before: Mapping[str, Pins], now: Mapping[str, Pins]) -> None:
    """By name where files have one; else by what they show."""
    keys = {name: set(_keys(before[name])) for name in SPLITS}
    moved = []
    for was, is_ in permutations(SPLITS, 2):
        # What was in both, as a duplicate is, has not moved.
        gone = keys[was] - keys[is_]
        moved += [f"{key} from {was} to {is_}" for key in _keys(now[is_]) if key in gone]
    if moved:
        more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
        raise DataError(
            f"moved to another split since the run began: {plural(len(moved), 'image')}: "
            f"{', '.join(moved[:_NAMED])}{more}. What was trained on would be tested with. "
            "Restore the folder, or start a search of its own."
        )


def _keys(pins: Pins) -> tuple[str, ...]:
    return pins.names or pins.digests


def _changed(split: str, before: Pins, now: Pins) -> str:
    """What is another image in a split, named; "" where nothing is."""
    if before.fingerprint == now.fingerprint:
        return ""
    old, new = _by_key(before), _by_key(now)
    if not old or not new:
        return f"{split}: {plural(now.count, 'image')}, {before.count:,} when the run began."
    kinds = {
        "new": [key for key in new if key not in old],
        "gone": [key for key in old if key not in new],
        "changed": [key for key in new if key in old and new[key] != old[key]],
    }
    told = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in kinds.items() if keys]
    return (
        f"{split}: the images are not those that the run began with: {', '.join(told)}. Figures "
        "from before and after are of different images."
    )


def _by_key(pins: Pins) -> dict[str, tuple[str, str]]:
    rows = zip(_keys(pins), pins.rows(), strict=True)
    return {key: (label, digest) for key, (_, label, digest) in rows}


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
