"""Spaces that cost nothing: networks of a few linear layers, and a table of made-up figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from torch import nn

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.outputs import Outputs
from orchestrator.contracts.space import Published, SearchSpace, Trial
from orchestrator.records import Architecture, Genotype

__all__ = ["TabulatedSpace", "ToySpace"]


class ToySpace(SearchSpace):
    """16 real networks of one or two hidden layers, with a conditional choice; best at 8×8 pixels.

    plain: 4 widths; deep: 4 widths × 3 second widths.
    """

    name = "toy"
    distinct = True

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """{"widths": [1 to 4]} or, where `kind` is deep, with a second width of 5 to 7."""
        kind = trial.suggest_categorical("kind", ["deep", "plain"])
        widths = [trial.suggest_int("width", 1, 4)]
        if kind == "deep":
            widths.append(trial.suggest_categorical("second", [5, 6, 7]))
        return {"widths": widths}

    def build(self, architecture: Architecture, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        """Linear layers one after another."""
        return _linear_layers(architecture["widths"], facts, outputs)

    def published(self) -> Mapping[str, Published]:
        """Two points, one with the conditional choice."""
        return {
            "wide": Published({"kind": "plain", "width": 4}, 8, "made up"),
            "tall": Published({"kind": "deep", "width": 4, "second": 7}, 8, "made up"),
        }


class TabulatedSpace(SearchSpace):
    """4,680 networks of one to four hidden layers, and what each is worth without building it.

    `figures` are "accuracy" (made up: it rises with depth and width, less and less, and some
    networks are luckier than others) and "params" (those of its network for `facts`).
    """

    name = "tabulated_toy"
    distinct = True
    presets = ("small",)
    facts = ImageFacts.unnamed(8, in_channels=1, classes=10)
    depths = range(1, 5)
    widths = range(1, 9)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """{"widths": [1 to 8, …]}, one a layer."""
        depth = trial.suggest_int("depth", self.depths[0], self.depths[-1])
        bounds = self.widths[0], self.widths[-1]
        return {"widths": [trial.suggest_int(f"width.{layer}", *bounds) for layer in range(depth)]}

    def build(self, architecture: Architecture, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        """Linear layers one after another."""
        return _linear_layers(architecture["widths"], facts, outputs)

    def figures(self, genotype: Genotype) -> dict[str, float]:
        """The table's line: accuracy in [0, 1] and parameters."""
        widths = genotype.architecture["widths"]
        size = sum(math.sqrt(width) for width in widths)
        # In [-1, 1], the same for the same network, and without a pattern to be learnt.
        luck = math.sin(sum((7 * layer + 3) * width**2 for layer, width in enumerate(widths)))
        accuracy = 0.98 - 0.6 * math.exp(-size / 3) + 0.01 * luck
        return {"accuracy": accuracy, "params": float(_params(widths, self.facts))}

    def genotypes(self) -> Iterator[Genotype]:
        """All of them, so that what a search found can be held against the best there is."""
        for depth in self.depths:
            for widths in product(self.widths, repeat=depth):
                yield Genotype(self.name, self.preset, {"widths": list(widths)})


def _linear_layers(widths: Sequence[int], facts: ImageFacts, outputs: Outputs) -> nn.Module:
    """(B, *facts.shape) → (B, classes)."""
    sizes = [math.prod(facts.shape), *widths]
    hidden = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], outputs.count))


def _params(widths: Sequence[int], facts: ImageFacts) -> int:
    sizes = [math.prod(facts.shape), *widths, len(facts.classes)]
    return sum((a + 1) * b for a, b in pairwise(sizes))
