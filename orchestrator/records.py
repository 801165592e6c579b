"""What is searched: a genotype is a point of the search, a record is what became of it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

from orchestrator.credit import Credit
from orchestrator.faults.printable import LINE, TEXT, printable, printable_values
from orchestrator.faults.typed import made
from orchestrator.files import understood

__all__ = [
    "OUTCOMES",
    "Architecture",
    "Check",
    "Choices",
    "Credit",
    "Finalist",
    "Genotype",
    "Latency",
    "Outcome",
    "Record",
    "ShippedFile",
    "Step",
    "count_outcomes",
]

# JSON values only, so that a network is rebuilt from text and never from a pickle.
Architecture = Mapping[str, Any]
Choices = Mapping[str, Any]
Outcome = Literal["feasible", "rejected", "stopped", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_TASK = "classification"


@dataclass(frozen=True)
class Latency:
    """One batch-1 inference on a device, milliseconds.

    `ms` is `ratio` × the calibrated time of the reference network and is the figure to compare;
    `low_ms`, `median_ms` and `high_ms` (95th percentile) are the raw clock in that session.

    `low_ratio` and `high_ratio` say how far `ratio` is known, and hold it. The session's rounds
    are split into six runs, two after each of three times that all files are loaded; of each run
    the file's minimum is divided by the reference network's in it, and these are the least and the
    largest of the six. So they hold where in memory a file may lie, which is most of what sessions
    differ by: on a busy machine 98 in 100 pairs of sessions of one file have intervals that meet;
    90 had with files loaded once. None where a device with a protocol of its own tells no interval.

    `source` is "measured"; "cache" where the same file was measured before with the same protocol
    on a device of the same fingerprint; "table" where it is an estimate from measured blocks.
    """

    ms: float
    ratio: float
    low_ms: float
    median_ms: float
    high_ms: float
    runs: int
    low_ratio: float | None = None
    high_ratio: float | None = None
    source: Literal["measured", "cache", "table"] = "measured"

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """From where to where `ms` is known; None where that is unknown."""
        if self.low_ratio is None or self.high_ratio is None:
            return None
        reference_ms = self.ms / self.ratio
        return self.low_ratio * reference_ms, self.high_ratio * reference_ms

    def overlaps(self, other: Latency) -> bool:
        """Whether it cannot be said which of two is faster; so too where an interval is unknown."""
        mine, theirs = self.interval_ms, other.interval_ms
        if mine is None or theirs is None:
            return True
        return mine[0] <= theirs[1] and theirs[0] <= mine[1]


@dataclass(frozen=True)
class Step:
    """One compressor at work: its name in the configuration, and its choices (JSON values)."""

    name: str
    choices: Choices


@dataclass(frozen=True)
class Genotype:
    """All that decides a network's shape, and what is done to it afterwards.

    `compression` are steps in the order they are taken; by name where there is but one legal
    order. A compressor that is left out, or whose step has no choices, does nothing. `head` are
    the choices of the task's own head. `runtime` names what executes its file; empty is the
    device's first.
    """

    space: str
    preset: str
    architecture: Architecture
    compression: tuple[Step, ...] = ()
    task: str = _TASK
    head: Choices = field(default_factory=dict)
    runtime: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.compression, Mapping):
            warnings.warn(
                "Genotype.compression is a tuple of Step(name, choices), no longer a mapping",
                DeprecationWarning,
                stacklevel=3,
            )
            object.__setattr__(self, "compression", _steps(self.compression))

    def canonical(self) -> str:
        """The same text for the same genotype, whatever the order of its keys."""
        return json.dumps(self._plainly(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this genotype; samplers ask for it all the time."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:12]

    def plain(self) -> Genotype:
        """The same network without compression, on the device's first runtime."""
        return replace(self, compression=(), runtime="")

    def choices(self, step: str) -> Choices:
        """The choices of the first step called so; none where it is not taken."""
        return next((item.choices for item in self.compression if item.name == step), {})

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return json.loads(self.canonical())  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Genotype:
        """The genotype that `to_json` wrote; raises RunError for one of a newer version.

        KeyError and TypeError where it is damaged.
        """
        known = [item.name for item in fields(cls)]
        told = understood(data, "a genotype", format=1, fields=known)
        return made(cls, {**told, "compression": _steps(told["compression"])})

    def _plainly(self) -> dict[str, Any]:
        """What is usual is left out, so that a genotype keeps the key it had before there was it.

        Steps in alphabetical order are the mapping that compression once was.
        """
        names = [step.name for step in self.compression]
        told: dict[str, Any] = {
            "space": self.space,
            "preset": self.preset,
            "architecture": self.architecture,
            "compression": {step.name: step.choices for step in self.compression}
            if names == sorted(set(names))
            else [asdict(step) for step in self.compression],
        }
        if self.task != _TASK:
            told["task"] = self.task
        if self.runtime:
            told["runtime"] = self.runtime
        return told | ({"head": self.head} if self.head else {})


def _steps(stored: Mapping[str, Choices] | Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    if isinstance(stored, Mapping):
        return tuple(made(Step, {"name": n, "choices": stored[n]}) for n in sorted(stored))
    return tuple(made(Step, {"name": s["name"], "choices": s["choices"]}) for s in stored)


@dataclass(frozen=True)
class Record:
    """What became of one candidate. Every way out of an evaluation is one of four outcomes.

    feasible: all objectives are known and every budget is kept;
    rejected: a budget is broken, `violations` says by how much (objective → excess, in its unit);
    stopped: training ended early because the candidate could not have joined the front;
    failed: `step` broke with `error`, kept in full.

    `latencies` has what was measured whole, by device; `values` the one figure of each objective.

    One training gives several records, as its network is compiled for several runtimes, quantized
    or not: `network` is the number of the one that was trained, None for that one itself, which
    brings the others in `variants` until each is known under a number of its own. `earlier` names
    the run that paid for it where that is another one.
    """

    format: ClassVar[int] = 1

    number: int
    genotype: Genotype
    outcome: Outcome
    values: Mapping[str, float] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    step: str = ""
    error: str = ""
    curve: tuple[float, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished_at: float = 0.0
    origin: str = "sampler"
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    network: int | None = None
    variants: tuple[Record, ...] = ()
    earlier: str = ""

    def __post_init__(self) -> None:
        """What plugins say, made fit to be stored, shown and read: here nobody can pass by."""
        lines = ("reason", "step", "origin", "earlier")
        told = {name: printable(getattr(self, name), LINE) for name in lines}
        told["error"] = printable(self.error, TEXT)
        for name, text in told.items():
            object.__setattr__(self, name, text)
        object.__setattr__(self, "extra", printable_values(self.extra))

    @property
    def id(self) -> str:
        """The name people see: the number in the search and the genotype's key."""
        return f"{self.number:04d}-{self.genotype.key}"

    @property
    def training(self) -> int:
        """The number of the candidate whose network it is of: its own, or that of another."""
        return self.number if self.network is None else self.network

    @property
    def paid(self) -> bool:
        """Whether it counts towards the candidates paid for: it passed its budgets, or failed.

        What another's training gave or an earlier run knew is paid with that, a shortlist never.
        """
        if self.network is not None or self.earlier or self.extra.get("foreseen"):
            return False
        return self.outcome != "rejected" or bool(self.extra.get("trained"))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        timed = {device: asdict(latency) for device, latency in self.latencies.items()}
        nested = {
            "genotype": self.genotype.to_json(),
            "latencies": timed,
            "variants": [record.to_json() for record in self.variants],
        }
        if not self.earlier:  # which an older version would not know
            told.pop("earlier")
        return {"format": self.format, **told, **nested}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The record that `to_json` wrote, or the version before; RunError for a newer one."""
        number = data.get("number") if isinstance(data, Mapping) else None
        what = f"the record of candidate {number}"
        known = [item.name for item in fields(cls)]
        told = understood(data, what, format=cls.format, fields=known)
        told["genotype"] = Genotype.from_json(told["genotype"])
        told["curve"] = tuple(told["curve"])
        timed = told.get("latencies", {}).items()
        told["latencies"] = {device: made(Latency, latency) for device, latency in timed}
        told["variants"] = tuple(cls.from_json(record) for record in told.get("variants", ()))
        return made(cls, told)


def count_outcomes(records: Iterable[Record]) -> dict[Outcome, int]:
    """How many came to each outcome, the four in their order."""
    counts = Counter(record.outcome for record in records)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


@dataclass(frozen=True)
class Check:
    """One candidate trained further for `epochs` in all; `record` is what it is worth then.

    `estimated` and `trained` are validation accuracies in [0, 1] of the network before
    compression, and `macs` its multiply-adds; 0 where an older run did not keep them.
    """

    format: ClassVar[int] = 1

    record: Record
    estimated: float
    trained: float
    epochs: int
    macs: float = 0.0

    @property
    def number(self) -> int:
        """The candidate's."""
        return self.record.number

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return {"format": self.format, **asdict(self), "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Check:
        """The check that `to_json` wrote, or the version before; RunError for a newer one."""
        known = [item.name for item in fields(cls)]
        told = understood(data, "a check", format=cls.format, fields=known)
        return made(cls, {**told, "record": Record.from_json(told["record"])})


@dataclass(frozen=True)
class ShippedFile:
    """One file of a finalist's folder, with what it is worth.

    `label` is unique in the folder ("fp32", "int8", "openvino.int8", "unpruned"); `steps` are what
    was done to the network until it was this file, in order, and `before` is the label of the file
    that the last was done to, empty for none. `runtime` names what executes it, `file` lies within
    the run's folder. `number` is that of the candidate that it was, None where it was none.
    `network` names the one of the folder's networks that it computes ("" or "unpruned").

    `values` are the objectives, metrics on the test split; `reached` is the leading metric there
    and `validation` on that split; `macs` are its network's multiply-adds. `validated` are the
    objectives with metrics on the validation split: what files are picked and marked by, so that
    what test says of them is not flattered by a choice. `metrics` are the task's on test.
    `agreement` is the share of validation images that it answers as its exact float form, None for
    what is exact. `latencies` are whole, by each device that runs this file; `values` hold nothing
    that others measure. `picks` are the needs that it suits best of all files, `rivals` by need
    those that figures cannot tell from it. `in_float` says, a line each, which layers this runtime
    leaves in float beside integer ones.
    """

    label: str
    runtime: str
    file: str
    file_format: str
    size_bytes: int
    steps: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    validation: float | None = None
    agreement: float | None = None
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    recommended: bool = False
    verified: bool = False
    picks: tuple[str, ...] = ()
    reached: float = 0.0
    before: str = ""
    network: str = ""
    number: int | None = None
    macs: float | None = None
    in_float: tuple[str, ...] = ()
    validated: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    rivals: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def decisive(self) -> Mapping[str, float]:
        """What it is chosen by; an older run knew its objectives on test only."""
        return self.validated or self.values

    @property
    def latency(self) -> Latency | None:
        """That on the first device it was measured on."""
        return next(iter(self.latencies.values()), None)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShippedFile:
        """What `dataclasses.asdict` gave; RunError for a newer version's, TypeError if damaged."""
        known = [item.name for item in fields(cls)]
        told = understood(data, "a shipped file", format=0, fields=known)
        timed = {name: made(Latency, one) for name, one in told.get("latencies", {}).items()}
        names = "steps", "marks", "picks", "in_float"
        lists = {name: tuple(told.get(name, ())) for name in names}
        return made(cls, {**told, **lists, "latencies": timed})


@dataclass(frozen=True)
class Finalist:
    """What a network of the front became: trained properly, exported, checked, in a folder.

    `files` are all of its folder, with figures of their own. One of them leads: `label`, `file` (in
    a device's `file_format`), `values`, `figures`, `marks`, `recommended`, `verified` and `picks`
    are that file's. `folder` and `file` lie within the run's folder; `figures` are what cards and
    tables show. `marks` are warnings; `recommended` is False where one of them is grave, or where
    the file could not be `verified`. Of several devices `leads` says which file leads on each.
    `classes` tells figures class by class ("count" and shares), `colours` how pictures show a class
    ("#rrggbb"), `pictures` for each image what is shown → the data URI of a PNG: those it is most
    wrong about. `confusions` are (truth, answer, how many) of each pair that occurs. Runs of before
    there were several have no `files`, and call figures of before compression "fp32".
    """

    format: ClassVar[int] = 1

    id: str
    number: int = 0
    name: str = ""
    folder: str = ""
    file: str = ""
    file_format: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    recommended: bool = False
    verified: bool = False
    choices: Choices = field(default_factory=dict)
    picks: tuple[str, ...] = ()
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Mapping[str, str], ...] = ()
    files: tuple[ShippedFile, ...] = ()
    label: str = ""
    confusions: tuple[tuple[str, str, int], ...] = ()
    leads: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(printable(mark, LINE) for mark in self.marks))

    def validated(self, leading: str) -> float:
        """What it is ordered by: test tells, and does not choose. Old runs knew test alone."""
        names = f"validation_{leading}", f"test_{leading}"
        return float(next((self.figures[name] for name in names if name in self.figures), 0))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        told = {k: v for k, v in asdict(self).items() if v or k != "leads"}
        return {"format": self.format, **told}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finalist:
        """The finalist that `to_json` wrote, or the version before; RunError for a newer one."""
        known = [item.name for item in fields(cls)]
        what = f"finalist {data.get('id') if isinstance(data, Mapping) else ''}"
        told = understood(data, what, format=cls.format, fields=known)
        lists = {name: tuple(told.get(name, ())) for name in ("marks", "picks", "pictures")}
        files = tuple(ShippedFile.from_json(file) for file in told.get("files", ()))
        pairs = tuple((t, a, int(n)) for t, a, n in told.get("confusions", ()))
        return made(cls, {**told, **lists, "files": files, "confusions": pairs})

    def __getitem__(self, name: str) -> Any:
        """A finalist was a dictionary once."""
        warnings.warn(
            f"a finalist is an object: read finalist.{name}, not finalist[{name!r}]",
            DeprecationWarning,
            stacklevel=2,
        )
        return asdict(self)[name]
