"""How one network is compressed, and a step of it with all that it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.contracts import CompressionContext
from orchestrator.records import Choices, Genotype

__all__ = ["StepAhead", "Treatment"]


@dataclass(frozen=True)
class Treatment:
    """How a network is compressed: by its genotype's steps, retrained for a share of `epochs`.

    Without epochs it is a preview, which never trains. With `most_images` an epoch has no more
    of them, so that a candidate is not retrained on many more images than it is estimated by.
    `ranges` is what its steps learn for one another, `report` what they tell people.
    """

    genotype: Genotype
    epochs: int = 0
    most_images: int | None = None
    ranges: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepAhead:
    """A compressor, its choices, and what it may use."""

    compressor: Any
    choices: Choices
    context: CompressionContext
