"""What is searched: a genotype is a point of the search, a record is what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Architecture", "Check", "Choices", "Genotype", "Outcome", "Record"]

# JSON values only, so that a network is rebuilt from text and never from a pickle.
Architecture = Mapping[str, Any]
Choices = Mapping[str, Any]
Outcome = Literal["feasible", "rejected", "stopped", "failed"]


@dataclass(frozen=True)
class Genotype:
    """Space, preset, architecture and compression choices: all that decides a network's shape.

    `compression` maps a compressor's name to its choices; a compressor that is left out or has
    no choices does nothing.
    """

    space: str
    preset: str
    architecture: Architecture
    compression: Mapping[str, Choices] = field(default_factory=dict)

    def canonical(self) -> str:
        """The same text for the same genotype, whatever the order of its keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this genotype."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:12]

    def plain(self) -> Genotype:
        """The same architecture without compression."""
        return Genotype(self.space, self.preset, self.architecture)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return json.loads(self.canonical())  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Genotype:
        """The genotype that `to_json` wrote."""
        fields = ("space", "preset", "architecture", "compression")
        return cls(**{name: data[name] for name in fields})


@dataclass(frozen=True)
class Record:
    """What became of one candidate. Every way out of an evaluation is one of four outcomes.

    feasible: all objectives are known and every budget is kept;
    rejected: a budget is broken, `violations` says by how much (objective → excess, in its unit);
    stopped: training ended early because the candidate could not have joined the front;
    failed: `step` broke with `error`, kept in full.
    """

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

    @property
    def id(self) -> str:
        """The name people see: the number in the search and the genotype's key."""
        return f"{self.number:04d}-{self.genotype.key}"

    @property
    def paid(self) -> bool:
        """Whether it counts towards the candidates paid for: it passed its budgets, or failed."""
        return self.outcome != "rejected" or bool(self.extra.get("trained"))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return {**asdict(self), "genotype": self.genotype.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The record that `to_json` wrote."""
        genotype = Genotype.from_json(data["genotype"])
        return cls(**{**data, "genotype": genotype, "curve": tuple(data["curve"])})


@dataclass(frozen=True)
class Check:
    """One candidate trained further for `epochs` in all; `record` is what it is worth then.

    `estimated` and `trained` are validation accuracies in [0, 1] of the network before
    compression, and `macs` its multiply-adds; 0 where an older run did not keep them.
    """

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
        return {**asdict(self), "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Check:
        """The check that `to_json` wrote."""
        return cls(**{**data, "record": Record.from_json(data["record"])})
