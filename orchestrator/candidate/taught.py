"""What finalists start from and are trained towards: what the search's own trainings left.

Several networks that were trained further to check an estimator teach together, as an ensemble does
(Hinton, Vinyals and Dean 2015, arXiv:1503.02531): they are paid for already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from orchestrator.candidate.factory import Factory, seed_of
from orchestrator.contracts import Loss
from orchestrator.errors import TrainingError
from orchestrator.estimators.further import load_weights
from orchestrator.records import Genotype
from orchestrator.training.epochs import own_loss
from orchestrator.training.teaching import Ensemble, SoftLabelLoss, Teacher

__all__ = ["finalists_loss", "inherit"]


def inherit(network: nn.Module, genotype: Genotype, factory: Factory) -> bool:
    """Load the weights that the search left for this architecture, if there are any."""
    context = replace(factory.estimation(), seed=seed_of(genotype, factory.config.run.seed))
    weights = factory.assembly.estimator.initial_weights(genotype.plain(), context)
    if weights is None:
        return False
    load_weights(network, weights, genotype)
    return True


def finalists_loss(
    genotype: Genotype, teachers: Sequence[Genotype], factory: Factory
) -> Loss | None:
    """The candidate's own loss, half of it the soft labels of `teachers`' mean where there are any.

    None where that is the task's own. Costs a forward pass of each teacher a batch. Raises
    TrainingError where a teacher's weights are gone.
    """
    own = factory.loss(genotype)
    if not teachers:
        return own
    members = Ensemble([_teacher(each, factory) for each in teachers])
    return SoftLabelLoss(own or own_loss(factory.footing.task), Teacher(members))


def _teacher(genotype: Genotype, factory: Factory) -> nn.Module:
    network = factory.started(genotype)
    if not inherit(network, genotype, factory):
        raise TrainingError(
            f"train.check_teachers: the weights that checking left of {genotype.plain().key} are "
            "gone from the run's folder, expected them in weights. Go on with "
            "train.check_teachers=0 in another run.dir."
        )
    return network
