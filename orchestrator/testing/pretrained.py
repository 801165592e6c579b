"""The part of a space's contract suite that is about trained weights to start from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.contracts.checkpoint import Checkpoint
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.outputs import Classes
from orchestrator.contracts.space import SearchSpace
from orchestrator.trials import FixedTrial

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Released", "check_pretrained"]

# State dicts by a tag of `pretrained()`, as a file of that checkpoint has them; values are free.
Released: TypeAlias = "Mapping[str, Mapping[str, Tensor]]"

LOCATION = re.compile(r"pkg://[^/]+/.+|https://.+|hf://[^/]+/[^/]+/.+")
DIGITS = re.compile(r"[0-9a-f]{0,64}")


def check_pretrained(space: SearchSpace, released: Released | None = None) -> None:
    """Raise AssertionError, saying what to mend, unless all checkpoints are told in full.

    For the tags in `released`, `translate` must give the names and shapes of the member's network
    and nothing else. Cost: each of these is built on the meta device.
    """
    checkpoints = space.pretrained()
    assert not checkpoints or space.preset == "full", (
        f"preset {space.preset} of {space.name} lists checkpoints; nobody publishes weights of a "
        'network scaled down, so list them in "full" only'
    )
    for tag, checkpoint in checkpoints.items():
        _check_told(space, tag, checkpoint)
    for tag, state in (released or {}).items():
        assert tag in checkpoints, f"{space.name} lists no checkpoint {tag}"
        _check_translated(space, tag, state)


def _check_told(space: SearchSpace, tag: str, checkpoint: Checkpoint) -> None:
    point = space.published().get(checkpoint.member)
    assert point, f"{tag} is of {checkpoint.member!r}, which {space.name} does not publish"
    for fact in ("locations", "naming", "licence", "credit", "data", "interpolation"):
        assert getattr(checkpoint, fact), f"{tag} needs its {fact}"
    for location in checkpoint.locations:
        assert LOCATION.fullmatch(location), (
            f"{tag} lies at {location!r}, expected pkg://PACKAGE/FILE, https://… or "
            "hf://OWNER/NAME/FILE"
        )
    assert DIGITS.fullmatch(checkpoint.sha256), (
        f"{tag} has sha256 {checkpoint.sha256!r}, expected at most 64 digits 0-9a-f"
    )
    assert checkpoint.classes > 0, f"{tag} needs its number of classes"
    assert all(each > 0 for each in checkpoint.deviation), f"{tag} divides by a deviation of 0"
    channels = len(checkpoint.mean), len(checkpoint.deviation)
    assert channels == (3, 3), f"{tag} normalises {channels} channels, expected 3"
    _with_options(space, checkpoint)


def _with_options(space: SearchSpace, checkpoint: Checkpoint) -> SearchSpace:
    """The space whose network is the released function."""
    if not checkpoint.options:
        return space
    try:
        return type(space)(preset=space.preset, **checkpoint.options)
    except TypeError as error:
        raise AssertionError(
            f"{space.name} does not take the options of its checkpoint: {error}"
        ) from error


def _check_translated(space: SearchSpace, tag: str, state: Mapping[str, Tensor]) -> None:
    checkpoint = space.pretrained()[tag]
    translated = space.translate(state, checkpoint.naming)
    found = {name: tuple(tensor.shape) for name, tensor in translated.items()}
    wanted = _shapes(_with_options(space, checkpoint), checkpoint)
    found, wanted = _without_counters(found), _without_counters(wanted)
    lacking, beyond = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert not lacking and not beyond, (
        f"{tag} translates to {len(found)} tensors; the network has {lacking[:5]} more, and lacks "
        f"{beyond[:5]}"
    )
    wrong = {name: (shape, wanted[name]) for name, shape in found.items() if shape != wanted[name]}
    assert not wrong, f"{tag} translates to other shapes (found, expected): {wrong}"


def _shapes(space: SearchSpace, checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    import torch

    point = space.published()[checkpoint.member]
    architecture = space.suggest(FixedTrial(point.choices))
    facts = ImageFacts.unnamed(point.image_size, classes=checkpoint.classes)
    with torch.device("meta"):
        network = space.build(architecture, facts, Classes(checkpoint.classes))
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _without_counters(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """What counts a batch norm's batches is no weight, and many files lack it."""
    return {name: each for name, each in shapes.items() if "num_batches_tracked" not in name}
