"""What is wrong with a search as a whole, said once, with what to do about it.

A finding is not about one candidate: many that fail alike, a front that grows no more, an
estimator that does not rank, a choice that does nothing, a space with less in it than is asked of
it. Before a search they come of its plan, while it runs of each record, and the report makes them
of all records again, so that they are the same after a resume.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.analysis.agreement import Agreement
from orchestrator.analysis.display import human, label
from orchestrator.analysis.importance import effects
from orchestrator.analysis.ledger import Ledger
from orchestrator.contracts.objective import Axis
from orchestrator.errors import plural
from orchestrator.records import Finalist, Record

__all__ = ["Finding", "Health", "few_images", "lopsided", "no_learning", "small_space", "unranked"]

# As many alike are no accident, if they are half of all.
LEAST_ALIKE = 5
# Fewer that were lost, all of them, may be bad luck.
LEAST_LOST = 10
# A front that has not grown for so many candidates, and for that share of all, hardly will.
FLAT_CANDIDATES = 20
FLAT_SHARE = 0.4
# Growth that nobody would notice.
FLAT_RISE = 1e-3
# Candidates with each answer that it takes to say that a choice changes nothing, and of all.
LEAST_ANSWERS = 8
LEAST_CANDIDATES = 40
# The share of an objective's variance below which a choice explains none of it.
NO_EFFECT = 0.005
# Of a class in a split; fewer are right or wrong by luck.
FEW_IMAGES = 10
# Characters of a reason that are told.
_TOLD = 200
# Plain accuracy above the mean over classes by so much is that of the larger classes.
LOPSIDED = 0.1


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what kind, what was seen, and what to do."""

    kind: str
    seen: str
    advice: str

    @property
    def sentence(self) -> str:
        """Both, for the terminal."""
        return f"{self.seen} {self.advice}"


@dataclass
class Health:
    """Looks at records one by one; a kind of finding is told once. `units` are by objective."""

    axes: Sequence[Axis]
    units: Mapping[str, str] = field(default_factory=dict)
    _ledger: Ledger = field(init=False)
    _told: set[str] = field(default_factory=set)
    _records: list[Record] = field(default_factory=list)
    _failed: dict[str, list[Record]] = field(default_factory=dict)
    _volume: float = 0.0
    _grown_at: int = 0
    _choices_at: int = LEAST_CANDIDATES
    _idle: Finding | None = None

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.axes)

    @classmethod
    def of(
        cls, records: Iterable[Record], axes: Sequence[Axis], units: Mapping[str, str]
    ) -> Health:
        """Having seen all of them, in the order in which they finished."""
        found = cls(axes, units)
        for record in sorted(records, key=lambda record: (record.finished_at, record.number)):
            found.see(record)
        return found

    def see(self, record: Record) -> list[Finding]:
        """Take one record more; what is found for the first time."""
        self._ledger.add(record)
        if record.earlier:  # its faults were that run's; what it reached is where this one begins
            self._volume = self._ledger.hypervolume
            return []
        self._records.append(record)
        if record.outcome == "failed":
            self._failed.setdefault(_alike(record), []).append(record)
        if self._ledger.hypervolume > self._volume * (1 + FLAT_RISE):
            self._volume, self._grown_at = self._ledger.hypervolume, self._ledger.paid
        if len(self._records) >= self._choices_at:
            self._choices_at *= 2
            self._idle = idle_choices(self._records, self.axes)
        ahead = [look for kind, look in self._looks.items() if kind not in self._told]
        fresh = [finding for look in ahead if (finding := look())]
        self._told |= {finding.kind for finding in fresh}
        return fresh

    @property
    def flat_for(self) -> int:
        """Candidates paid for since the hypervolume last grew."""
        return self._ledger.paid - self._grown_at

    @property
    def all_alike(self) -> list[Record]:
        """The failures of a search in which nothing else came of a training, all of one kind."""
        if len(self._failed) != 1 or self._ledger.feasible:
            return []
        (alike,) = self._failed.values()
        # What was trained and then kept no budget came of its training, too.
        return alike if sum(record.paid for record in alike) == self._ledger.paid else []

    @property
    def standing(self) -> list[Finding]:
        """What holds now, whether it was told or not."""
        return [finding for look in self._looks.values() if (finding := look())]

    @property
    def _looks(self) -> dict[str, Callable[[], Finding | None]]:
        """By kind; what was told is not looked for again, as some of it costs time."""
        return {
            "nothing": self._nothing,
            "failures": self._failures,
            "plateau": self._flat,
            "idle choices": lambda: self._idle,
        }

    def _nothing(self) -> Finding | None:
        if len(self._records) < LEAST_LOST or self._ledger.feasible:
            return None
        return nothing_feasible(self._records, self.units)

    def _failures(self) -> Finding | None:
        most = max(self._failed.values(), key=len, default=[])
        if len(most) < LEAST_ALIKE or 2 * len(most) < len(self._records):
            return None
        first = most[0]
        shared = _shared(most, self._records)
        which = f" All of them, and no other, have {shared}: leave that out." if shared else ""
        return Finding(
            "failures",
            f"{len(most)} of {plural(len(self._records), 'candidate')} failed alike at "
            f"{first.step}: {_reason(first)}.",
            f"The whole error of candidate {first.number} is in the report.{which}",
        )

    def _flat(self) -> Finding | None:
        flat = self.flat_for
        if not self._volume or flat < max(FLAT_CANDIDATES, FLAT_SHARE * self._ledger.paid):
            return None
        return Finding(
            "plateau",
            f"The front has not grown for {flat} of {plural(self._ledger.paid, 'candidate')} "
            f"(hypervolume {self._volume:.3f}).",
            "More of the same will hardly help: train longer (train.epochs), loosen a budget, or "
            f"search another space; budget.patience={FLAT_CANDIDATES} would have ended it.",
        )


def nothing_feasible(records: Sequence[Record], units: Mapping[str, str]) -> Finding | None:
    """Why not one of some candidates is feasible; None where one is, or there is none at all."""
    lost = [record for record in records if record.outcome != "feasible"]
    if not lost or len(lost) < len(records):
        return None
    reasons = Counter(_alike(record) for record in lost)
    (common, count), *_ = reasons.most_common(1)
    first = next(record for record in lost if _alike(record) == common)
    told = _reason(first) if first.outcome == "failed" else _broken(lost)
    return Finding(
        "nothing",
        f"Not one of {plural(len(records), 'candidate')} is feasible; the commonest reason, "
        f"{plural(count, 'time')}: {told}.",
        _mend(first, _nearest(lost, units)),
    )


def _mend(first: Record, nearest: str) -> str:
    if first.outcome == "failed":
        return f"The whole error of candidate {first.number} is in the report."
    if nearest:
        return f"The nearest miss: {nearest}. Loosen the budget, or search another space."
    return "The report has each candidate's reason."


def _broken(lost: Sequence[Record]) -> str:
    """The budget that most of them broke."""
    names = Counter(name for record in lost for name in record.violations)
    if not names:
        return _reason(lost[0])
    return f"budget of {names.most_common(1)[0][0]}"


def _nearest(lost: Sequence[Record], units: Mapping[str, str]) -> str:
    """Which candidate broke its only budget by least, relative to what it has."""
    misses = []
    for record in lost:
        for name, excess in record.violations.items():
            value = record.values.get(name)
            if value is not None and len(record.violations) == 1:
                misses.append((abs(excess) / max(abs(value), 1e-12), record, name, value, excess))
    if not misses:
        return ""
    _, record, name, value, excess = min(misses, key=lambda miss: miss[0])
    unit = units.get(name, "")
    off = human(abs(excess), unit)
    return f"candidate {record.number} with {label(name)} {human(value, unit)}, off by {off}"


def _alike(record: Record) -> str:
    """The same text for what was lost in the same way; numbers in it may differ."""
    if record.violations:
        return "budget " + " ".join(sorted(record.violations))
    return f"{record.step} {re.sub(r'[0-9]+', '#', _reason(record))}"


def _reason(record: Record) -> str:
    lines = [line.strip() for line in record.error.splitlines() if line.strip()]
    reason = (record.reason or (lines[-1] if lines else "no reason given")).rstrip(".")
    return reason if len(reason) <= _TOLD else f"{reason[: _TOLD - 1].rstrip()}…"


def _shared(failed: Sequence[Record], records: Sequence[Record]) -> str:
    """An answer that all failed ones gave and no other did, as "choice=answer"; else empty."""
    others = [record for record in records if record.outcome != "failed"]
    for name, answer in failed[0].choices.items():
        given = all(record.choices.get(name) == answer for record in failed)
        if given and others and not any(r.choices.get(name) == answer for r in others):
            return f"{name}={answer}"
    return ""


def idle_choices(records: Sequence[Record], axes: Sequence[Axis]) -> Finding | None:
    """Choices that were answered often in several ways, and explain no objective.

    Of each training one candidate is looked at: what its other files differ in, nobody chose.
    """
    usable = [r for r in records if r.outcome == "feasible" and r.network is None]
    if len(usable) < LEAST_CANDIDATES or not axes:
        return None
    idle: set[str] | None = None
    for axis in axes:
        known = [record for record in usable if axis.name in record.values]
        found = effects([r.choices for r in known], [r.values[axis.name] for r in known])
        quiet = {
            effect.choice
            for effect in found
            if effect.share < NO_EFFECT
            and sum(level.count >= LEAST_ANSWERS for level in effect.levels) >= 2
        }
        idle = quiet if idle is None else idle & quiet
    if not idle:
        return None
    names = ", ".join(sorted(idle)[:6]) + (f" and {len(idle) - 6} more" if len(idle) > 6 else "")
    return Finding(
        "idle choices",
        f"Over {plural(len(usable), 'candidate')} no objective depends on {names}.",
        "Fix them where the space has an option for it: fewer choices are learnt sooner.",
    )


def unranked(agreement: Agreement) -> Finding | None:
    """An estimator whose order is hardly that of training."""
    if not agreement.advice:
        return None
    tau = agreement.tau
    told = "" if tau is None else f" (Kendall's tau {tau:.2f} over {len(agreement.checks)})"
    return Finding(
        "estimator", f"The estimator does not rank what it estimates{told}.", agreement.advice
    )


def small_space(size: float, candidates: int) -> Finding | None:
    """A space with fewer genotypes than candidates are paid for."""
    if size >= candidates:
        return None
    return Finding(
        "small space",
        f"The space has about {plural(round(size), 'genotype')}, and budget.candidates is "
        f"{candidates}.",
        "All of them will be tried, and the search ends there; a wider space or preset gives more.",
    )


def few_images(counts: Mapping[str, Mapping[str, int]]) -> Finding | None:
    """Classes too rare to be judged; `counts` are images by split and class."""
    rare = [
        f"{name} ({count} in {split})"
        for split in ("validation", "test")
        for name, count in counts.get(split, {}).items()
        if count < FEW_IMAGES
    ]
    if not rare:
        return None
    shown = ", ".join(rare[:6]) + (f" and {len(rare) - 6} more" if len(rare) > 6 else "")
    return Finding(
        "few images",
        f"Too few images to judge classes by: {shown}.",
        f"Below {FEW_IMAGES} a class is right or wrong by luck: add images, or merge classes.",
    )


def no_learning(losses: Sequence[float], rate: float) -> Finding | None:
    """Training that does not lower the loss of the very images that it is trained on."""
    if losses[-1] < losses[0]:
        return None
    return Finding(
        "no learning",
        f"{plural(len(losses), 'step')} on a few images took their loss from {losses[0]:.3g} to "
        f"{losses[-1]:.3g}: training does not learn.",
        f"Lower train.learning_rate (now {rate:g}), or look at the images and their classes.",
    )


def lopsided(finalist: Finalist) -> Finding | None:
    """Accuracy that is that of the larger classes alone."""
    plain = finalist.figures.get("test_accuracy")
    even = finalist.figures.get("test_balanced_accuracy", finalist.values.get("balanced_accuracy"))
    if plain is None or even is None or plain - even < LOPSIDED:
        return None
    known = {n: f["accuracy"] for n, f in finalist.classes.items() if "accuracy" in f}
    worst = min(known, key=lambda name: known[name], default="")
    hits = round(known[worst] * finalist.classes[worst]["count"]) if worst else 0
    told = f": {worst} {hits} of {finalist.classes[worst]['count']:.0f} right" if worst else ""
    return Finding(
        "lopsided",
        f"Finalist {finalist.id} is right on {human(plain, 'share')} of test images, and on "
        f"{human(even, 'share')} as a mean over classes{told}.",
        "Say train.sampling=balanced or train.class_weights=balanced, or search for "
        "objective=[balanced_accuracy,…].",
    )
