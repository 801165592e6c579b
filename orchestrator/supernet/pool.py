"""The architectures a supernet is trained with: a fixed pool of random ones and the named ones.

A pool instead of fresh draws, so that its networks are built once: building one anew for each
step costs small networks a quarter of their training. A few hundred random architectures use
every choice many times over.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import BuildError, SharingError
from orchestrator.records import Genotype
from orchestrator.supernet.borrowing import Borrower
from orchestrator.training.building import draw_plain
from orchestrator.trials import PartlyKnownTrial, RandomTrial, apart

__all__ = ["Subnet", "draw_subnets", "in_turn"]

# Draws for one new architecture, before a space counts as exhausted.
_TRIES = 4


@dataclass(frozen=True)
class Subnet:
    """A genotype of the pool and its number of parameters."""

    genotype: Genotype
    params: int


def draw_subnets(borrower: Borrower, *, count: int, seed: int) -> list[Subnet]:
    """Named points, then random architectures, all different, largest first.

    The store has grown to hold all of them afterwards. What cannot be built for these images is
    left out. Raises SharingError for two operators that share a name.
    """
    space = borrower.store.space
    trials: list[RandomTrial] = [
        PartlyKnownTrial(point.choices, seed) for point in space.published().values()
    ]
    trials += [RandomTrial(apart(seed, number)) for number in range(_TRIES * count)]
    found: dict[str, Subnet] = {}
    for trial in trials:
        if len(found) >= count:
            break
        genotype = draw_plain(space, borrower.task, trial)
        if genotype.key in found:
            continue
        try:
            network = borrower.get(genotype).network
        except SharingError:
            raise
        except BuildError:
            continue
        params = sum(parameter.numel() for parameter in network.parameters())
        found[genotype.key] = Subnet(genotype, params)
    return sorted(found.values(), key=lambda path: -path.params)


def in_turn(paths: Sequence[Subnet], *, seed: int, epoch: int, steps: int) -> list[Subnet]:
    """`steps` paths in random order, each as often as any other (but for one)."""
    rng = random.Random(apart(seed, epoch))
    order: list[Subnet] = []
    while len(order) < steps:
        order += rng.sample(list(paths), len(paths))
    return order[:steps]
