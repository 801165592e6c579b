"""From a genotype to a network: the one place where a space is asked to build."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from orchestrator.contracts import Classes, ImageFacts, SearchSpace
from orchestrator.errors import BuildError, CandidateError
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_network"]


def build_network(
    space: SearchSpace, genotype: Genotype, facts: ImageFacts, *, seed: int | None
) -> nn.Module:
    """The plain network of `genotype` for such images, uncompressed and untrained.

    Weights follow from `seed`, and torch's global generator is left as it was; None draws them
    from that generator, for many networks that are to differ. Raises BuildError.
    """
    import torch

    outputs = Classes(len(facts.classes))
    with torch.random.fork_rng(devices=[]) if seed is not None else nullcontext():
        if seed is not None:
            torch.manual_seed(seed)
        try:
            return space.build(genotype.architecture, facts, outputs)
        except CandidateError:
            raise
        except Exception as error:
            text = f"{genotype.space} cannot build {genotype.key}: {error!r}"
            raise BuildError(text) from error
