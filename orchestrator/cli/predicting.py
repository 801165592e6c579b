"""The command `predict`: what a finalist says of images in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.analysis.confusion import Mistake, matrix, mistakes
from orchestrator.analysis.display import human, interval
from orchestrator.bundle.facts import is_bundle, read_facts
from orchestrator.bundle.predicting import (
    Guess,
    ImagesFound,
    Predictor,
    Unread,
    found_images,
    told_of,
)
from orchestrator.cli.inspecting import bundle_device
from orchestrator.cli.terminal import Terminal, figure_table
from orchestrator.contracts import Classes
from orchestrator.errors import ConfigError, DataError, closest, plural
from orchestrator.plugins import installed

__all__ = ["Asked", "predict"]

_MOST_IN_A_ROW = 12


@dataclass(frozen=True)
class Asked:
    """A finalist's folder, images and folders of images, and how it is told."""

    bundle: Path
    files: Sequence[Path]
    label: str = ""
    device: str = ""
    top: int = 1
    as_json: bool = False


def predict(asked: Asked) -> None:
    """Print what the bundle says of each file, and how often it is right where that is known.

    Raises UsageError, DataError where not one file could be read among them.
    """
    facts = read_facts(asked.bundle)
    if asked.top < 1:
        raise ConfigError(f"--top is {asked.top}, expected 1 or more.")
    if asked.label and asked.label not in facts["artifacts"]:
        near = closest(asked.label, facts["artifacts"])
        raise ConfigError(f"{asked.bundle} has no file {asked.label!r}; {near}")
    others = [path for path in asked.files if is_bundle(path)]
    if others and len(asked.files) > 1:
        raise ConfigError(
            f"predict: {others[0]} is a finalist's folder too, expected one, then images. Name one."
        )
    found = found_images(asked.files, facts["classes"])
    if found.strange:
        strange = ", ".join(map(repr, found.strange[:5]))
        print(
            f"note no accuracy: {strange} is no class of this network. Its folders of images would "
            f"have to be called as {', '.join(facts['classes'][:5])}.",
            file=sys.stderr,
        )
    if found.others:
        passed_over = plural(sum(found.others.values()), "file")
        print(
            f"note passed over: {passed_over} of no image's suffix ({told_of(found.others)}).",
            file=sys.stderr,
        )
    with ExitStack() as stack:
        label = asked.label or _led_by(asked.device, facts)
        device = bundle_device(asked.bundle, label, asked.device)
        if device is not None:
            stack.callback(device.close)
        predictor = Predictor(asked.bundle, installed(), device, label=label)
        told = list(predictor.guesses(found.paths))
    unread = [each for each in told if isinstance(each, Unread)]
    if len(unread) == len(told):
        raise DataError(f"not one of {plural(len(told), 'file')} can be read: {_named(unread)}.")
    _Told(predictor, asked, told, found).show()


def _led_by(runtime: str, facts: Mapping[str, Any]) -> str:
    """The file that leads where a runtime is the device's; empty for the recommended one."""
    labels = facts.get("leads", {}).values()
    return next((n for n in labels if facts["artifacts"][n]["runtime"] == runtime), "")


class _Told:
    """What was found, as JSON or for people."""

    def __init__(
        self,
        predictor: Predictor,
        asked: Asked,
        told: Sequence[Guess | Unread],
        found: ImagesFound,
    ) -> None:
        self.asked, self.told, self.labels = asked, told, found.labels
        self.others = found.others
        self.classes = predictor.images.classes
        self.of_images = isinstance(predictor.outputs, Classes)
        self.file = predictor.file or "the rebuilt network"

    def show(self) -> None:
        """Print it; files that cannot be read are named on standard error."""
        judged = self._judged() if self.labels and self.of_images else None
        if self.asked.as_json:
            more: dict[str, Any] = {"judged": judged} if judged else {}
            more |= {"passed_over": dict(self.others)} if self.others else {}
            rows = [self._entry(each) for each in self.told]
            print(json.dumps({"file": self.file, "images": rows, **more}, indent=1))
        else:
            rows = [self._row(each) for each in self.told if isinstance(each, Guess)]
            Terminal().out.print(figure_table(rows, list(rows[0])))
            if judged:
                self._show_judged(judged)
        for each in self.told:
            if isinstance(each, Unread):
                print(f"left out: {each.path}: {each.reason}", file=sys.stderr)

    def _entry(self, each: Guess | Unread) -> dict[str, Any]:
        if isinstance(each, Unread):
            return {"image": str(each.path), "left_out": each.reason}
        top = each.top(self.asked.top)
        shares = {self.classes[n]: round(each.shares[n], 6) for n in top}
        return {"image": str(each.path), "class": self.classes[top[0]], "shares": shares}

    def _row(self, each: Guess) -> dict[str, str]:
        cells = {"image": str(each.path)}
        for place, number in enumerate(each.top(self.asked.top), start=1):
            head = "class" if place == 1 else f"{place}."
            share = human(each.shares[number], "share")
            cells[head] = f"{self.classes[number]} {share}"
        return cells

    def _judged(self) -> dict[str, Any]:
        """Accuracy, by class too, and the confusion matrix: rows are what the folders say."""
        count = len(self.classes)
        confusion = np.zeros((count, count), np.int64)
        for label, each in zip(self.labels, self.told, strict=True):
            if isinstance(each, Guess):
                confusion[label, each.top(1)[0]] += 1
        right, there = np.diag(confusion), confusion.sum(1)
        by_class = {
            self.classes[n]: {"images": int(there[n]), "recall": float(right[n] / there[n])}
            for n in range(count)
            if there[n]
        }
        recalls = [entry["recall"] for entry in by_class.values()]
        return {
            "images": int(there.sum()),
            "accuracy": float(right.sum() / there.sum()),
            "balanced_accuracy": float(np.mean(recalls)),
            "by_class": by_class,
            "confusion": confusion.tolist(),
        }

    def _show_judged(self, judged: Mapping[str, Any]) -> None:
        told = interval(judged["accuracy"], judged["images"])
        balanced = human(judged["balanced_accuracy"], "share")
        print(f"accuracy {told} of {plural(judged['images'], 'image')}, balanced {balanced}")
        counted = zip(self.classes, judged["confusion"], strict=True)
        found = [
            (truth, answer, count)
            for truth, row in counted
            for answer, count in zip(self.classes, row, strict=True)
            if count
        ]
        occurring = {name for *pair, _ in found for name in pair}
        names, counts = matrix([name for name in self.classes if name in occurring], found)
        if len(names) > _MOST_IN_A_ROW:
            _show_mistakes(mistakes(found))
            return
        print("confusion matrix: a row what the folders say, a column what the file says")
        rows = [
            {"": name, **dict(zip(names, map(str, row), strict=True))}
            for name, row in zip(names, counts, strict=True)
        ]
        Terminal().out.print(figure_table(rows, list(rows[0])))


def _show_mistakes(found: Sequence[Mistake]) -> None:
    """Where the matrix is too wide for a screen."""
    wrong = sum(each.count for each in found)
    print(f"most often confused ({wrong} wrong; the whole matrix by --json):")
    rows = [
        {"folder": each.truth, "file says": each.answer, "images": each.told}
        for each in found[:_MOST_IN_A_ROW]
    ]
    if rows:
        Terminal().out.print(figure_table(rows, list(rows[0])))


def _named(unread: Sequence[Unread]) -> str:
    more = f" and {len(unread) - 3} more" if len(unread) > 3 else ""
    return ", ".join(f"{each.path} ({each.reason})" for each in unread[:3]) + more
