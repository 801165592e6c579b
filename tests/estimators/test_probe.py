from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import footings
import numpy as np
import pytest
import torch
from starts import begun_on_digits, member, network_of
from torch import nn

from orchestrator import ArraySamples, Dataset, EstimationContext, Genotype, ImageFacts
from orchestrator.contracts import Split
from orchestrator.errors import ConfigError
from orchestrator.estimators.probe import ProbeEstimator
from orchestrator.plugins import installed
from orchestrator.testing.estimator import check_estimator
from orchestrator.training.probing import classifiers, solve


@pytest.fixture
def context(tmp_path: Path) -> EstimationContext:
    return begun_on_digits(tmp_path, "mobilenetv2")


def network(context: EstimationContext, genotype: Genotype) -> nn.Module:
    made = network_of(context.space, genotype, facts=context.facts)
    assert context.start is not None
    context.start.give(made)
    return made


@pytest.mark.parametrize("family", ["mobilenetv2", "deit"])
def test_it_fulfils_the_contract(family: str, tmp_path: Path) -> None:
    check_estimator(ProbeEstimator(images=300), begun_on_digits(tmp_path, family))


def test_only_the_last_layer_changes_and_statistics_stay(context: EstimationContext) -> None:
    genotype = member(context.space)
    made = network(context, genotype)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    (figure,) = ProbeEstimator(images=300).estimate(made, genotype, context).curve
    changed = [n for n, t in made.state_dict().items() if not torch.equal(t, before[n])]
    assert changed == ["classifier.weight", "classifier.bias"]
    assert figure > 0.5  # of ten digits, on features of noise


def test_both_classifiers_of_a_distilled_network_are_solved(tmp_path: Path) -> None:
    context = begun_on_digits(tmp_path, "deit")
    genotype = member(context.space)
    made = network(context, genotype)
    layers = classifiers(made, torch.randn(2, *context.facts.shape))
    assert layers == [made.classifier, made.distillation_classifier]
    drawn = [layer.weight.clone() for layer in layers]
    ProbeEstimator(images=300).estimate(made, genotype, context)
    assert not any(torch.equal(a, layer.weight) for a, layer in zip(drawn, layers, strict=True))


def test_the_solution_is_that_of_the_penalised_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (300,), generator=generator)
    features = torch.randn(300, 5, generator=generator) * 3 + labels[:, None] + 10
    layer = nn.Linear(5, 3)
    solve(layer, features, labels, penalty=0.1)
    mean, spread = features.mean(0), features.std(0)
    weight = (layer.weight.detach() * spread).requires_grad_()
    answers = (features - mean) / spread @ weight.T + layer(mean).detach()
    loss = nn.functional.cross_entropy(answers, labels) + 0.05 * weight.square().sum()
    (slope,) = torch.autograd.grad(loss, weight)
    assert slope.abs().max() < 1e-3


def test_features_that_never_move_do_no_harm() -> None:
    labels = torch.arange(40) % 2
    features = torch.cat([labels[:, None] * 2.0, torch.zeros(40, 3)], dim=1)
    layer = nn.Linear(4, 2)
    solve(layer, features, labels, penalty=1e-2)
    assert torch.isfinite(layer.weight).all()
    assert torch.equal(layer(features).argmax(1), labels)


class FewEights(Dataset):
    """Digits, of which one eight in twenty is left for training."""

    name = "few_eights"

    def __init__(self, digits: Dataset) -> None:
        self.digits = digits

    @property
    def facts(self) -> ImageFacts:
        return self.digits.facts

    def split(self, name: Split) -> ArraySamples:
        found = self.digits.split(name)
        eights = np.flatnonzero(found.targets == 8)
        if name != "train":
            return ArraySamples(found.pixels[eights], found.targets[eights])
        kept = np.setdiff1d(np.arange(len(found)), np.delete(eights, slice(None, None, 20)))
        return ArraySamples(found.pixels[kept], found.targets[kept])


def test_a_rare_class_counts_as_much_as_training_has_it(context: EstimationContext) -> None:
    rare = FewEights(context.dataset)
    genotype, given = member(context.space), {"start": context.start}

    def recall(**recipe: Any) -> float:
        train = replace(context.train, **recipe)
        own = footings.context(context.space, rare, train, context.weights, **given)
        (found,) = ProbeEstimator(images=900).estimate(network(own, genotype), genotype, own).curve
        return found

    plain = recall()
    assert recall(sampling="balanced") > plain + 0.1
    assert recall(class_weights="balanced") > plain + 0.1


def test_networks_without_a_linear_end_are_refused(tmp_path: Path) -> None:
    context = begun_on_digits(tmp_path, "squeezenet")
    with pytest.raises(ConfigError, match="do not end in a linear layer"):
        ProbeEstimator().prepare(context)


def test_the_solved_classifier_is_not_what_a_finalist_starts_from(
    context: EstimationContext,
) -> None:
    genotype = member(context.space)
    estimator = ProbeEstimator(images=100)
    estimator.estimate(network(context, genotype), genotype, context)
    assert estimator.initial_weights(genotype, context) is None
    context.store.keep(network(context, genotype), genotype)
    assert estimator.initial_weights(genotype, replace(context, seed=3)) is not None


@pytest.mark.parametrize("options", [{"images": 1}, {"penalty": 0.0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        installed().create("estimator", "probe", options)
