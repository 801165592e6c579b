"""Whether a file may be recommended: verified, still the same function, and it pays.

A mark is a warning on a file; one that blocks keeps it from being recommended. Each step is judged
against the file before it: pruning by what it cost of the leading metric, quantization by how far
it still answers as its float form, and both by whether something that is searched for got better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.analysis.display import label
from orchestrator.contracts import Axis
from orchestrator.records import ShippedFile

__all__ = ["Aims", "Mark", "budget_marks", "dominance_marks", "gated", "step_marks"]

# Less than this share is within what measurements differ by from one session to the next.
NOTABLE = 0.03
# An approximation that answers otherwise more often than this is another function.
LEAST_AGREEMENT = 0.95
MOST_LOST = 0.02
# Of a share where it is not known how many images it was counted on.
_UNCOUNTED = 0.01


@dataclass(frozen=True)
class Mark:
    """A warning, and whether it keeps a file from being recommended."""

    text: str
    blocks: bool


@dataclass(frozen=True)
class Aims:
    """What a search is for.

    `axes` are its objectives; `timed` maps those that are latencies to the device that they are
    of. `leading` names the task's leading metric, and `images` is how many of the validation split
    it is counted on, 0 where that is not known. Files are compared by what they are worth on
    validation, and by nothing that is known of one of the two alone, as what is measured on a
    device that does not run the other.
    """

    axes: Sequence[Axis]
    timed: Mapping[str, str] = field(default_factory=dict)
    leading: str = "accuracy"
    images: int = 0

    def shared(self, one: ShippedFile, other: ShippedFile) -> list[Axis]:
        """What two files can be compared by."""
        known = one.decisive.keys() & other.decisive.keys()
        return [axis for axis in self.axes if axis.name in known]

    def gain(self, axis: Axis, one: ShippedFile, other: ShippedFile) -> float:
        """By how much `one` is better than `other`, in the objective's unit; below 0 if worse."""
        return axis.sign * (one.decisive[axis.name] - other.decisive[axis.name])

    def surely_better(self, axis: Axis, one: ShippedFile, other: ShippedFile) -> bool:
        """Whether by more than the objective is known to: a latency's interval, a share's."""
        if axis.name in self.timed and not self._told_apart(axis, one, other):
            return False
        return self.gain(axis, one, other) > self._doubt(axis, other.decisive[axis.name])

    def better(self, axis: Axis, one: ShippedFile, other: ShippedFile) -> bool:
        """Whether at all; of a latency, by more than it is known to."""
        if axis.name in self.timed:
            return self.surely_better(axis, one, other)
        return self.gain(axis, one, other) > 0

    def _told_apart(self, axis: Axis, one: ShippedFile, other: ShippedFile) -> bool:
        """Whether intervals do not meet; so too where there is none, as NOTABLE is then all."""
        device = self.timed[axis.name]
        first, second = (file.latencies.get(device) for file in (one, other))
        if first is None or second is None or None in (first.interval_ms, second.interval_ms):
            return True
        return not first.overlaps(second)

    def _doubt(self, axis: Axis, value: float) -> float:
        if axis.unit != "share":
            return NOTABLE * abs(value)
        # Two standard errors of a share that is counted on so many images.
        return 2 * math.sqrt(value * (1 - value) / self.images) if self.images else _UNCOUNTED


def gated(
    files: Sequence[ShippedFile], known: Mapping[str, Sequence[Mark]], aims: Aims
) -> list[ShippedFile]:
    """Files of one folder with their marks, and which of them may be recommended.

    `known` are marks that are there already, by label: budgets, and what was not verified.
    """
    named = {file.label: file for file in files}
    marks = {
        file.label: [*known.get(file.label, ()), *step_marks(file, named.get(file.before), aims)]
        for file in files
    }
    sound = [file for file in files if not _blocked(marks[file.label])]
    for file in files:
        others = [other for other in sound if other is not file]
        marks[file.label] += dominance_marks(file, others, aims)
    return [
        replace(
            file,
            marks=tuple(mark.text for mark in marks[file.label]),
            recommended=not _blocked(marks[file.label]),
        )
        for file in files
    ]


def _blocked(marks: Iterable[Mark]) -> bool:
    return any(mark.blocks for mark in marks)


def budget_marks(broken: Mapping[str, float]) -> list[Mark]:
    """One for each budget that a file breaks (objective → excess); all block."""
    return [Mark(f"{name} misses its budget by {by:.4g}", True) for name, by in broken.items()]


def step_marks(file: ShippedFile, before: ShippedFile | None, aims: Aims) -> list[Mark]:
    """Whether a file is still the same function, and its last step paid.

    `before` is the file that the step was done to; None for the network's first file.
    """
    marks = list(_function(file))
    if before is None:
        return marks
    return [*marks, *_pay(file, before, aims), *_loss(file, before, aims)]


def dominance_marks(file: ShippedFile, others: Iterable[ShippedFile], aims: Aims) -> list[Mark]:
    """Whether another file of the folder is nowhere worse and somewhere better.

    `others` are those that nothing else speaks against; one that is not for every device that
    `file` is for is no substitute. One mark at most, which blocks.
    """
    for other in others:
        axes = aims.shared(file, other)
        missed = set(file.latencies) - set(other.latencies)
        if missed or any(aims.better(axis, file, other) for axis in axes):
            continue
        worse = [axis for axis in axes if aims.better(axis, other, file)]
        sure = [axis for axis in worse if aims.surely_better(axis, other, file)]
        if worse:
            # Files are compared on validation and shown by test, where a small difference may turn.
            how = "worse in" if sure else "slightly worse in"
            names = ", ".join(label(axis.name) for axis in sure or worse)
            text = f"no better than {other.label} in what is searched for, {how} {names}"
            return [Mark(text, True)]
    return []


def _function(file: ShippedFile) -> Iterator[Mark]:
    # Written so that NaN blocks too.
    if file.agreement is not None and not file.agreement >= LEAST_AGREEMENT:
        percent = 100 * file.agreement
        yield Mark(f"answers as its float network on only {percent:.1f} % of images", True)


def _pay(file: ShippedFile, before: ShippedFile, aims: Aims) -> Iterator[Mark]:
    axes = aims.shared(file, before)
    paid = [axis.name for axis in axes if aims.surely_better(axis, file, before)]
    if not paid:
        text = f"did not pay: nothing that is searched for is better than in {before.label}"
        yield Mark(text, True)
        return
    timed = [axis for axis in axes if axis.name in aims.timed]
    slower = [label(axis.name) for axis in timed if aims.surely_better(axis, before, file)]
    if slower:
        gained = ", ".join(label(name) for name in paid)
        yield Mark(f"better in {gained}, worse in {', '.join(slower)}", False)


def _loss(file: ShippedFile, before: ShippedFile, aims: Aims) -> Iterator[Mark]:
    lost = _leading(before) - _leading(file)
    if lost > MOST_LOST:
        step = file.steps[-1] if file.steps else "compression"
        yield Mark(f"{step} cost {100 * lost:.1f} points of {label(aims.leading)}", False)


def _leading(file: ShippedFile) -> float:
    """The leading metric on validation; where only test is known, there."""
    return file.reached if file.validation is None else file.validation
