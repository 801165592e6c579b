"""What every training and judging of a run stands on."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.contracts import Dataset, ImageFacts, Placement, Split, Task, samples_of
from orchestrator.measuring.gate import Gate
from orchestrator.training.feed import Feed

__all__ = ["Footing"]


@dataclass(frozen=True)
class Footing:
    """A task on a dataset, where it is computed, and the gate that pauses it.

    `gate` is held for a batch at a time, by training and by judging.
    """

    task: Task
    dataset: Dataset
    placement: Placement = field(default_factory=Placement)
    gate: Gate | None = None
    _feeds: dict[Split, Feed] = field(default_factory=dict, repr=False, compare=False)

    @property
    def facts(self) -> ImageFacts:
        """What the images are."""
        return self.dataset.facts

    @property
    def ungated(self) -> Footing:
        """The same for whoever holds the gate already, which cannot be held twice."""
        return Footing(self.task, self.dataset, self.placement)

    def feed(self, split: Split) -> Feed:
        """A split's samples where they are needed, kept ready; raises DataError for none."""
        if split not in self._feeds:
            samples = samples_of(self.dataset, split)
            self._feeds[split] = Feed(samples, self.placement, self.gate)
        return self._feeds[split]
