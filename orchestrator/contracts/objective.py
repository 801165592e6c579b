"""An objective: one number about a candidate that is made small or large."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from orchestrator.candidate import Genotype
from orchestrator.contracts.device import Artifact, Latency

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

__all__ = ["Direction", "Objective", "Subject", "Tier"]

Direction = Literal["minimize", "maximize"]
# What must have happened before it is known: nothing but a build, an accuracy, a device's file.
Tier = Literal["static", "estimated", "deployed"]


@dataclass(frozen=True)
class Subject:
    """A candidate as an objective sees it. Later tiers see more.

    static: `network` (untrained, pruned if the candidate says so, perhaps on the meta device),
    `input_shape` (C, H, W) and, in a search, `batch`, which gives some training images as networks
    see them, float32 (N, C, H, W), and their labels, int64 (N,); estimated: `metrics` too, at
    least "accuracy" in [0, 1] on the validation split (the test split for finalists); deployed:
    `artifact` and `latency`, which measures on the quiet device when called.
    """

    genotype: Genotype
    network: nn.Module
    input_shape: tuple[int, int, int]
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifact: Artifact | None = None
    latency: Callable[[], Latency] | None = None
    batch: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None


class Objective(ABC):
    """One number about a candidate. Any objective may carry a hard budget from the config."""

    name: ClassVar[str]
    unit: ClassVar[str]
    direction: ClassVar[Direction]
    tier: ClassVar[Tier]
    summary: ClassVar[str] = ""

    @abstractmethod
    def measure(self, subject: Subject) -> float:
        """The number, finite, in `unit`; raises CandidateError where there is none."""

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """More about the number for cards and tables, such as a second counter's figure."""
        return {}
