"""Released tensors under a space's names: every name and shape compared, then fitted to a dataset.

Which tensors are the classifier's or the first layer's is found out by building the network for
other classes or channels and looking whose shape follows, so that no name is written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from orchestrator.contracts import ImageFacts, SearchSpace
from orchestrator.errors import WeightsError, plural
from orchestrator.records import Genotype
from orchestrator.training.building import build_network
from orchestrator.trials import FixedTrial

__all__ = [
    "Mismatch",
    "Shapes",
    "classes_in",
    "compared",
    "fit_channels",
    "head_names",
    "member_genotype",
    "overlap",
    "shapes_of",
]

Shapes = Mapping[str, tuple[int, ...]]

# What counts batches is no weight, and many files lack it.
_COUNTER = "num_batches_tracked"
_SHOWN = 5


@dataclass(frozen=True)
class Mismatch:
    """How two lists of names and shapes differ; empty where they do not."""

    lacking: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    otherwise: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many names are not the same on both sides."""
        return len(self.lacking) + len(self.beyond) + len(self.otherwise)

    def only_in(self, names: Collection[str]) -> bool:
        """Whether all that differs is the shape of some of these."""
        return not self.lacking and not self.beyond and set(self.otherwise) <= set(names)

    def __str__(self) -> str:
        sides = {
            "the network has, the file lacks": self.lacking,
            "the file has, the network lacks": self.beyond,
            "of another shape (found, expected)": tuple(
                f"{name} {shapes}" for name, shapes in self.otherwise.items()
            ),
        }
        return "; ".join(f"{side}: {_first(names)}" for side, names in sides.items() if names)


def member_genotype(space: SearchSpace, member: str) -> Genotype:
    """The genotype of a published network; raises WeightsError for none of that name."""
    point = space.published().get(member)
    if point is None:
        raise WeightsError(
            f"{space.name} lists weights of {member!r}, which is none of its published networks. "
            "Tell who maintains the space, or choose other weights."
        )
    return Genotype(space.name, space.preset, space.suggest(FixedTrial(point.choices)))


def shapes_of(space: SearchSpace, genotype: Genotype, facts: ImageFacts) -> Shapes:
    """Name → shape of all parameters and buffers of a classifier; nothing is allocated."""
    with torch.device("meta"):
        network = build_network(space, genotype, facts, seed=0)
    return _counted({name: tuple(t.shape) for name, t in network.state_dict().items()})


def compared(found: Mapping[str, Tensor], expected: Shapes) -> Mismatch:
    """How tensors differ from what a network has, by names and shapes."""
    given = _counted({name: tuple(tensor.shape) for name, tensor in found.items()})
    return Mismatch(
        tuple(sorted(set(expected) - set(given))),
        tuple(sorted(set(given) - set(expected))),
        {
            name: f"{given[name]}, {shape}"
            for name, shape in expected.items()
            if name in given and given[name] != shape
        },
    )


def head_names(space: SearchSpace, genotype: Genotype, facts: ImageFacts) -> frozenset[str]:
    """The tensors that have an entry for each class."""
    return _following(space, genotype, facts, replace(facts, classes=(*facts.classes, "")))


def classes_in(state: Mapping[str, Tensor], head: Iterable[str]) -> int | None:
    """For how many classes a head is; None where its tensors are not there or do not agree."""
    counts = {len(state[name]) for name in head if name in state and state[name].ndim}
    return counts.pop() if len(counts) == 1 else None


def fit_channels(
    tensors: Mapping[str, Tensor], space: SearchSpace, genotype: Genotype, facts: ImageFacts
) -> tuple[dict[str, Tensor], str]:
    """Tensors for images of three channels made fit for those of `facts`, and what was done.

    One channel: summed over the colours, which is the same function for a grey picture where the
    colours' mean and deviation are alike, and near to it for ImageNet's. Of n: repeated, times
    3 / n, which keeps the scale of what follows. Raises WeightsError for layers
    whose shape follows the channels otherwise.
    """
    channels = facts.in_channels
    if channels == 3:
        return dict(tensors), ""
    expected = shapes_of(space, genotype, facts)
    coloured = replace(facts, in_channels=3, mean=(0.5,) * 3, deviation=(0.5,) * 3)
    fitted = dict(tensors)
    for name in _following(space, genotype, facts, coloured):
        if name in tensors:
            fitted[name] = _refitted(name, tensors[name], expected[name])
    how = (
        "summed over the colours"
        if channels == 1
        else f"repeated for {plural(channels, 'channel')}"
    )
    return fitted, f"the first layer's weights are {how}"


def _following(
    space: SearchSpace, genotype: Genotype, facts: ImageFacts, other: ImageFacts
) -> frozenset[str]:
    """The tensors whose shape is another with the other facts."""
    one, two = shapes_of(space, genotype, facts), shapes_of(space, genotype, other)
    return frozenset(name for name in one if two.get(name) != one[name])


def _refitted(name: str, tensor: Tensor, expected: tuple[int, ...]) -> Tensor:
    """(out, 3, …) as (out, n, …)."""
    found = tuple(tensor.shape)
    if len(found) < 2 or found[1] != 3 or found[:1] + found[2:] != expected[:1] + expected[2:]:
        raise WeightsError(
            f"{name} is {found}, expected (out, 3, …) to make {expected} of it. Use images of "
            "three channels (dataset.in_channels=3), or leave weights=null."
        )
    channels = expected[1]
    if channels == 1:
        return tensor.sum(1, keepdim=True)
    places = torch.arange(channels) % 3
    return tensor[:, places] * (3 / channels)


def overlap(found: Mapping[str, Tensor], expected: Shapes) -> float:
    """The share of tensors, in [0, 1], that have a partner of their own shape."""
    mine = Counter(tuple(t.shape) for n, t in found.items() if not n.endswith(_COUNTER))
    theirs = Counter(expected.values())
    return (mine & theirs).total() / max(mine.total(), theirs.total(), 1)


def _counted(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}


def _first(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
