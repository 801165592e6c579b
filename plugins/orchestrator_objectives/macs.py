"""Multiply-adds of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from orchestrator import Objective, Subject
from orchestrator_objectives.counting import ExactCounter
from orchestrator_objectives.thop_counting import count_by_thop

__all__ = ["MultiplyAdds"]

_WHY = (
    "exact counts the multiply-adds of convolutions, matrix products and attention and nothing "
    "else; thop adds elementary operations (4 an element of BatchNorm and LayerNorm, pooling, "
    "softmax and activation layers) and counts a layer that two parents share twice for each. "
    "What plain thop misses (functional convolutions, matrix products, attention) is in both."
)


class MultiplyAdds(Objective):
    """Multiply-adds of a forward pass at batch 1, in evaluation mode; 1 MAC = 2 FLOPs.

    `counter="exact"` is what publications mean: convolutions, matrix products and attention,
    nothing for biases, normalisation, activations or pooling. `counter="thop"` is comparable with
    figures from thop, and larger.
    """

    name = "macs"
    unit = "MACs"
    direction = "minimize"
    tier = "static"
    summary: ClassVar[str] = "multiply-adds of one image"

    def __init__(self, *, counter: Literal["exact", "thop"] = "exact") -> None:
        self.counter = counter
        # thop sees classes of layers, which an outline has not.
        self.by_shapes = counter == "exact"
        self._exact = ExactCounter()

    def measure(self, subject: Subject) -> float:
        """The count; raises BuildError if the network does not run on `subject.input_shape`."""
        if self.counter == "exact":
            return float(self._exact.count(subject.network, subject.input_shape))
        return float(count_by_thop(subject.network, subject.input_shape))

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """Both counters' figures, and why they differ."""
        return {
            "exact": float(self._exact.count(subject.network, subject.input_shape)),
            "thop": float(count_by_thop(subject.network, subject.input_shape)),
            "why": _WHY,
        }
