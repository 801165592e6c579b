"""Published members are the networks that their weights were released for.

Equal counts are no proof of an equal function: here are equal logits, for weights and statistics of
every kind, brought over by `translate`. Where timm and torchvision are not installed, their stored
answers stand for them.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import fresh
from reference_networks import REFERENCES, Answer, Reference, asked, eps_of, logits_of, stored

from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial

# Of the largest logit; arithmetic in another order differs by a tenth of this.
NEAR = 1e-5

CASES = [
    pytest.param(each, id=str(each), marks=() if each.first else pytest.mark.slow)
    for each in REFERENCES
]


def member(reference: Reference) -> tuple[Any, torch.nn.Module]:
    options = {"preset": "full", **dict(reference.options)}
    space = installed().create("space", reference.family, options)
    choices = space.published()[reference.member].choices
    return space, fresh(
        space,
        space.suggest(FixedTrial(choices)),
        classes=1000,
        image_size=space.published()[reference.member].image_size,
    )


def carried_over(reference: Reference, answer: Answer) -> torch.nn.Module:
    """Our member with the reference's weights; every name and shape is there, and no other."""
    space, network = member(reference)
    translated = space.translate(answer.state(), reference.naming)
    own = network.state_dict()
    wanted = {name: tensor.shape for name, tensor in own.items() if tensor.is_floating_point()}
    found = {name: tensor.shape for name, tensor in translated.items() if name in wanted}
    assert found == wanted
    assert all(name.endswith("num_batches_tracked") for name in set(translated) - set(wanted))
    network.load_state_dict(translated, strict=False)
    return network


def check_same(reference: Reference, answer: Answer) -> None:
    network = carried_over(reference, answer)
    assert eps_of(network) == answer.eps
    found = logits_of(network, answer.image_size)[0, : len(answer.logits)]
    wanted = torch.tensor(answer.logits)
    assert wanted.std() > 0.1
    assert float((found - wanted).abs().max() / wanted.abs().max()) < NEAR


@pytest.mark.parametrize("reference", CASES)
def test_a_member_answers_as_its_reference_did(reference):
    check_same(reference, stored(reference))


@pytest.mark.parametrize("reference", CASES)
def test_a_member_answers_as_its_reference_does(reference):
    try:
        answer = asked(reference, stored(reference).image_size)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{reference.network} cannot be built here: {error}")
    check_same(reference, answer)
