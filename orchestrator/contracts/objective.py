"""An objective: one number about a candidate that is made small or large."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from orchestrator.contracts.device import Artifact, Gauge, Latency
from orchestrator.errors import CandidateError, ConfigError
from orchestrator.records import Genotype

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

__all__ = [
    "Axis",
    "Budget",
    "Direction",
    "ImageChange",
    "MetricObjective",
    "Objective",
    "Subject",
    "Tier",
]

Direction = Literal["minimize", "maximize"]
# What must have happened before it is known: nothing but a build, an accuracy, a device's file.
Tier = Literal["static", "estimated", "deployed"]


class ImageChange(Protocol):
    """What is done to images before a file answers them. Hashable; keeps things where they are."""

    def __call__(self, pixels: np.ndarray, first: int) -> np.ndarray:
        """Images uint8 (N, C, H, W), the `first`-th and on of those that are changed → as many.

        The same images always become the same.
        """


@dataclass(frozen=True)
class Subject:
    """A candidate as an objective sees it. Later tiers see more.

    static: `network` (untrained, pruned if the candidate says so, perhaps on the meta device),
    `input_shape` (C, H, W) and, in a search, `batch`, which gives some training images as networks
    see them, float32 (N, C, H, W), and their labels, int64 (N,): as many as the objective asks for
    (`training_images`), at least 128, and at most all there are, and for an objective that reads a
    latency table `tabled`, its estimate; estimated: `metrics` too, at
    least "accuracy" in [0, 1] on the validation split (the test split for finalists), and `judge`,
    which gives the task's leading metric under each of some changes, of that many images of the
    same split, answered by the file in its runtime (an estimator that predicts has none); deployed:
    `artifact` and `latency`, which measures on the quiet device when called, and `gauge`, which
    finds out something else about the file there (see `Device.gauge`).
    """

    genotype: Genotype
    network: nn.Module
    input_shape: tuple[int, int, int]
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifact: Artifact | None = None
    latency: Callable[[], Latency] | None = None
    batch: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
    gauge: Callable[[Gauge], Mapping[str, float]] | None = None
    judge: Callable[[Sequence[ImageChange], int], Sequence[float]] | None = None
    tabled: Callable[[], Latency] | None = None


class Objective(ABC):
    """One number about a candidate. Any objective may carry a hard budget from the config."""

    name: ClassVar[str]
    unit: ClassVar[str]
    direction: ClassVar[Direction]
    tier: ClassVar[Tier]
    summary: ClassVar[str] = ""
    # How many images it wants of `Subject.batch`; the search says so where there are not so many.
    training_images: int = 0
    # Whether it asks for nothing but what shapes tell, whatever the values of weights: its
    # `Subject.network` may then be an outline (see `SearchSpace.outlined`), on the meta device.
    by_shapes: bool = False
    # Whether it asks `Subject.judge`, for which an estimator must have trained.
    needs_answers: ClassVar[bool] = False
    # The latency table that it reads: a path, or "" for the user's own of space and device.
    table: str | None = None

    @abstractmethod
    def measure(self, subject: Subject) -> float:
        """The number, finite, in `unit`; raises CandidateError where there is none."""

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """More about the number for cards and tables, such as a second counter's figure."""
        return {}


class MetricObjective(Objective):
    """A metric of a task as an objective of the metric's name; a child says name and summary.

    One that reads another of the task's figures than that of its own name says so by `figure`.

    Costs nothing here: what judged the network knows it. A unit other than a share, or a metric
    that is to be small, is said by the child too.
    """

    unit = "share"
    direction = "maximize"
    tier = "estimated"
    figure: str = ""

    @property
    def read(self) -> str:
        """Which of the task's figures it is."""
        return self.figure or self.name

    def measure(self, subject: Subject) -> float:
        """That figure of `subject.metrics`; raises CandidateError if it is missing or no share."""
        if self.read not in subject.metrics:
            known = ", ".join(sorted(subject.metrics)) or "none"
            raise CandidateError(
                f"no {self.read} is known; known metrics: {known}. The task must judge by one "
                f'called "{self.read}".'
            )
        value = float(subject.metrics[self.read])
        if self.unit == "share" and not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise CandidateError(
                f"{self.name} is {value}, expected a share in [0, 1]. A percentage must be "
                "divided by 100; nan means that training diverged."
            )
        return value


@dataclass(frozen=True)
class Budget:
    """The hard limits of one objective, searched for or not, in its unit."""

    min: float | None = None
    max: float | None = None

    def excess(self, value: float) -> float:
        """By how much `value` breaks it; 0 where it is kept."""
        if self.max is not None and value > self.max:
            return value - self.max
        return self.min - value if self.min is not None and value < self.min else 0.0


@dataclass(frozen=True)
class Axis:
    """One objective as a dimension of the trade-off, every number in `unit`.

    `reference` is the worst value that still counts towards the hypervolume. `ideal` is the best
    one imaginable, by default 0 where small is good and 1 where large is good, and one unit
    better than the reference where that would be no better. `min` and `max` are hard budgets.
    `leads` marks the task's leading metric.
    """

    name: str
    unit: str
    direction: Direction
    reference: float
    min: float | None = None
    max: float | None = None
    ideal: float | None = None
    leads: bool = False

    def __post_init__(self) -> None:
        if self.ideal is not None and self.sign * (self.ideal - self.reference) <= 0:
            raise ConfigError(
                f"{self.name}: ideal {self.ideal:g} is no better than reference "
                f"{self.reference:g} although it is to be {self.direction}d; change one of them."
            )

    @property
    def sign(self) -> int:
        """1 where large is good, -1 where small is."""
        return 1 if self.direction == "maximize" else -1

    @property
    def best(self) -> float:
        """The ideal, or its default."""
        if self.ideal is not None:
            return self.ideal
        usual = 1.0 if self.direction == "maximize" else 0.0
        better = self.sign * (usual - self.reference) > 0
        return usual if better else self.reference + self.sign

    @property
    def limited(self) -> bool:
        """Whether it carries a budget."""
        return self.min is not None or self.max is not None

    def gain(self, value: float) -> float:
        """0 at the reference, 1 at the ideal; not clipped."""
        return (value - self.reference) / (self.best - self.reference)

    def allows(self, value: float) -> bool:
        """Whether `value` keeps the budget."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)
