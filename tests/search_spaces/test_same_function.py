"""Published members are the networks that their weights were released for.

Equal counts are no proof of an equal function: here are equal logits, for weights and statistics of
every kind, brought over by `translate`. Where timm and torchvision are not installed, their stored
answers stand for them.
"""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from reference_networks import REFERENCES, Answer, Reference, asked, eps_of, logits_of, stored

from orchestrator import SearchSpace
from orchestrator.plugins import installed
from orchestrator.testing.pretrained import check_pretrained
from orchestrator.trials import FixedTrial

# Of the largest logit, in double precision.
NEAR = 1e-9

CASES = [
    pytest.param(each, id=str(each), marks=() if each.first else pytest.mark.slow)
    for each in REFERENCES
]


def space_of(reference: Reference) -> SearchSpace:
    options = {"preset": "full", **dict(reference.options)}
    made: SearchSpace = installed().create("space", reference.family, options)
    return made


def member(reference: Reference) -> torch.nn.Module:
    space = space_of(reference)
    point = space.published()[reference.member]
    architecture = space.suggest(FixedTrial(point.choices))
    return fresh(space, architecture, classes=1000, image_size=point.image_size)


def carried_over(reference: Reference, answer: Answer) -> torch.nn.Module:
    """Our member with the reference's weights; every name and shape is there, and no other."""
    network = member(reference)
    translated = space_of(reference).translate(answer.state(), reference.naming)
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
    wanted = torch.tensor(answer.logits, dtype=torch.float64)
    assert wanted.std() > 0.05
    assert float((found - wanted).abs().max() / wanted.abs().max()) < NEAR


def file_of(answer: Answer, classes: int) -> dict[str, torch.Tensor]:
    """Names and shapes of a checkpoint of so many classes; there is nothing in the tensors."""
    return {
        name: torch.empty([classes if size == 1000 else size for size in shape], device="meta")
        for name, shape in answer.shapes.items()
    }


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_every_listed_checkpoint_of_a_reference_has_the_members_names_and_shapes(reference):
    space, answer = space_of(reference), stored(reference)
    files = {
        tag: file_of(answer, checkpoint.classes)
        for tag, checkpoint in space.pretrained().items()
        if (checkpoint.member, checkpoint.naming) == (reference.member, reference.naming)
    }
    check_pretrained(space, files)


@pytest.mark.parametrize("family", sorted({each.family for each in REFERENCES}))
def test_every_listed_checkpoint_has_a_reference(family):
    space = installed().create("space", family, {"preset": "full"})
    compared = {(each.member, each.naming) for each in REFERENCES if each.family == family}
    listed = {(each.member, each.naming) for each in space.pretrained().values()}
    # Of some networks a library has no weights.
    assert listed <= compared


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
