"""From a genotype to a network: the one place where a space is asked to build."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from orchestrator.contracts import Classes, ImageFacts, SearchSpace, Task, Trial
from orchestrator.errors import BuildError, CandidateError
from orchestrator.records import Genotype
from orchestrator.trials import SilentTrial

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_network", "draw_plain"]


def draw_plain(space: SearchSpace, task: Task, trial: Trial) -> Genotype:
    """A genotype without compression: an architecture, and the task's head.

    Where the task builds on features, what only the space's classifier has is not asked, so that
    equal networks are one genotype.
    """
    unasked = space.classifier_choices if task.on_features else frozenset()
    architecture = space.canonical(space.suggest(SilentTrial(trial, unasked)))
    head = task.suggest(trial)
    return Genotype(space.name, space.preset, architecture, task=task.name, head=head)


def build_network(
    space: SearchSpace,
    genotype: Genotype,
    facts: ImageFacts,
    *,
    seed: int | None,
    task: Task | None = None,
) -> nn.Module:
    """The plain network of `genotype` for such images, uncompressed and untrained.

    Without a task it answers a logit for each class.

    Weights follow from `seed`, and torch's global generator is left as it was; None draws them
    from that generator, for many networks that are to differ. Raises BuildError.
    """
    import torch

    with torch.random.fork_rng(devices=[]) if seed is not None else nullcontext():
        if seed is not None:
            torch.manual_seed(seed)
        try:
            if task is not None:
                return task.build(space, genotype.architecture, genotype.head, facts)
            return space.build(genotype.architecture, facts, Classes(len(facts.classes)))
        except CandidateError:
            raise
        except Exception as error:
            text = f"{genotype.space} cannot build {genotype.key}: {error!r}"
            raise BuildError(text) from error
