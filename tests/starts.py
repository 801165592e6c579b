"""Trained weights to start from, made up: random tensors that a network of a space has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import footings
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator import EstimationContext, Genotype, ImageFacts, SearchSpace
from orchestrator.config import TrainConfig
from orchestrator.plugins import installed
from orchestrator.pretrained.loading import Loaded
from orchestrator.pretrained.starting import StartingWeights, prepare_start, start_file
from orchestrator.records import Credit
from orchestrator.training.building import build_network
from orchestrator.trials import PartlyKnownTrial

CREDIT = Credit("made/up", "a test", "0" * 64, "MIT", "nobody", "noise", "1.0")
FACTS = ImageFacts.unnamed(32, classes=3)


def space_of(family: str = "mobilenetv2") -> SearchSpace:
    made: SearchSpace = installed().create("space", family, {"preset": "small"})
    return made


def member(space: SearchSpace, choices: Mapping[str, Any] | None = None) -> Genotype:
    """The second published network, or that one with some other answers."""
    point = list(space.published().values())[1]
    trial = PartlyKnownTrial({**point.choices, **(choices or {})}, 0)
    return Genotype(space.name, space.preset, space.suggest(trial))


def network_of(
    space: SearchSpace, genotype: Genotype, *, facts: ImageFacts = FACTS, seed: int = 1
) -> nn.Module:
    return build_network(space, genotype, facts, seed=seed).eval()


def trained(network: nn.Module) -> dict[str, Tensor]:
    """Its state with statistics, norms and biases as a training might leave them."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.get_buffer("running_mean").normal_(0, 0.1)
                module.get_buffer("running_var").uniform_(0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn(parameter.shape)
    return dict(network.state_dict())


def loaded(
    space: SearchSpace, genotype: Genotype, *, without: Sequence[str] = (), **more: Any
) -> Loaded:
    """What a file of that network would give, without tensors whose name begins so."""
    tensors = trained(network_of(space, genotype))
    left = {k: t for k, t in tensors.items() if k.startswith(tuple(without))}
    kept = {k: t for k, t in tensors.items() if k not in left}
    return Loaded(replace(CREDIT, classes=3), genotype, FACTS, kept, head=left, **more)


def start_of(
    folder: Path, space: SearchSpace, genotype: Genotype | None = None, **more: Any
) -> StartingWeights:
    """A run's starting weights, in `folder`."""
    found = loaded(space, genotype or member(space), **more)
    return prepare_start(start_file(folder), space, FACTS.shape, lambda: found)


def begun_on_digits(folder: Path, family: str) -> EstimationContext:
    """Digits, and a start that is noise: its features tell digits apart all the same."""
    space = space_of(family)
    digits = installed().create("dataset", "digits", {"image_size": 32})
    tensors = dict(network_of(space, member(space), facts=digits.facts).state_dict())
    found = Loaded(CREDIT, member(space), digits.facts, tensors)
    start = prepare_start(start_file(folder), space, digits.facts.shape, lambda: found)
    config = TrainConfig(epochs=1)
    return footings.context(space, digits, config, folder / "weights", start=start)
