"""What a file or folder of the user's own is: which network, in whose names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from orchestrator.bundle.facts import sha256
from orchestrator.contracts import Checkpoint, ImageFacts, SearchSpace
from orchestrator.errors import SharingError, WeightsError
from orchestrator.plugins import Plugins
from orchestrator.pretrained.fetching import same_hash
from orchestrator.pretrained.listing import FULL, Listed, all_listed, listed_by
from orchestrator.pretrained.mapping import (
    Mismatch,
    Shapes,
    classes_in,
    compared,
    head_names,
    member_genotype,
    overlap,
    shapes_of,
)
from orchestrator.pretrained.reading import read_state
from orchestrator.records import Genotype

__all__ = ["OWN", "Fit", "facts_for", "identify", "is_path", "likeness", "meant", "released_as"]

# Our own names, which need no translation.
OWN = "ours"
# Leading digits of a sha256 that are enough to know a file by.
_TELLING = 8


@dataclass(frozen=True)
class Fit:
    """A network of the space that a file's tensors fit, every name and shape.

    `listed` are the checkpoints that they could be, as far as names and shapes tell; none for a
    file in our own names. `resampled` are the names of tensors that were made fit, as the file is
    of a network for images of another size.
    """

    member: str
    genotype: Genotype
    tensors: Mapping[str, Tensor]
    classes: int
    listed: tuple[Listed, ...] = ()
    channels: int = 3
    resampled: tuple[str, ...] = ()


def is_path(weights: str) -> bool:
    """Whether it is a file or folder that is there, rather than a name."""
    return Path(weights).expanduser().exists()


def facts_for(image_size: int, classes: int, channels: int = 3) -> ImageFacts:
    """Of a released network: three channels, unless it is somebody's own."""
    return ImageFacts.unnamed(image_size, in_channels=channels, classes=classes)


def released_as(path: Path, space: SearchSpace) -> Listed | None:
    """The listed checkpoint whose very file this is, by its sha256; None for another."""
    found = _hash_once(path, path.stat().st_mtime_ns)
    for listed in listed_by(space):
        told = listed.checkpoint.sha256
        if len(told) >= _TELLING and same_hash(told, found):
            return listed
    return None


def identify(path: Path, space: SearchSpace, plugins: Plugins | None = None) -> Fit:
    """Which network of the space a file holds, told by trying; raises WeightsError for none.

    Our own names first, then each naming that the space's checkpoints have. What fits none is told
    which listed weights it is like, of all spaces in `plugins`.
    """
    state = read_state(path)
    nearest: tuple[int, str, Mismatch] | None = None
    for naming, members in _ways(space).items():
        tensors = _translated(state, naming, space)
        for member, listed in members.items() if tensors else ():
            assert tensors is not None
            found = _fitted(member, tensors, space, listed)
            if isinstance(found, Fit):
                return found
            if nearest is None or found.count < nearest[0]:
                nearest = (found.count, member, found)
    raise WeightsError(_no_fit(path, space, nearest, likeness(state, plugins)))


def meant(fit: Fit, space: SearchSpace) -> Listed | None:
    """Which of the listed weights a file is taken as: that whose options the space has; else the
    first. None for a file in our own names.
    """
    agreeing = [
        listed
        for listed in fit.listed
        if all(getattr(space, k, v) == v for k, v in listed.checkpoint.options.items())
    ]
    most = max(agreeing, key=lambda listed: len(listed.checkpoint.options), default=None)
    return most or next(iter(fit.listed), None)


def likeness(state: Mapping[str, Tensor], plugins: Plugins | None) -> str:
    """A sentence with the listed weights whose network has most tensors of the same shapes.

    It starts with a space, to follow others; "" for none alike, and where there are no plugins.
    """
    best = _best_match(state, plugins) if plugins else ""
    return f" By its shapes it is most like {best}." if best else ""


def _best_match(state: Mapping[str, Tensor], plugins: Plugins) -> str:
    best, name = 0.5, ""
    tried: set[tuple[str, str]] = set()
    for listed in all_listed(plugins):
        key = (listed.family, listed.checkpoint.member)
        if key in tried:
            continue
        tried.add(key)
        space = plugins.create("space", listed.family, {"preset": FULL})
        share = overlap(state, _shapes_of_listed(space, listed.checkpoint))
        if share > best:
            best, name = share, listed.name
    return name


def _shapes_of_listed(space: SearchSpace, checkpoint: Checkpoint) -> Mapping[str, tuple[int, ...]]:
    facts = facts_for(checkpoint.image_size, checkpoint.classes)
    return shapes_of(space, member_genotype(space, checkpoint.member), facts)


def _ways(space: SearchSpace) -> dict[str, dict[str, tuple[Listed, ...]]]:
    """Naming → published network → the checkpoints of both."""
    ways: dict[str, dict[str, tuple[Listed, ...]]] = {OWN: dict.fromkeys(space.published(), ())}
    for listed in listed_by(space):
        members = ways.setdefault(listed.checkpoint.naming, {})
        member = listed.checkpoint.member
        members[member] = (*members.get(member, ()), listed)
    return ways


def _translated(
    state: Mapping[str, Tensor], naming: str, space: SearchSpace
) -> Mapping[str, Tensor] | None:
    """None where the names are not of that naming, which a space may tell by any error."""
    if naming == OWN:
        return state
    try:
        return space.translate(state, naming)
    except Exception:
        return None


def _fitted(
    member: str, tensors: Mapping[str, Tensor], space: SearchSpace, listed: tuple[Listed, ...]
) -> Fit | Mismatch:
    sizes = [entry.checkpoint.image_size for entry in listed]
    side = sizes[0] if sizes else space.published()[member].image_size
    genotype = member_genotype(space, member)
    expected = shapes_of(space, genotype, facts_for(side, 1000))
    classes, channels, mismatch = 1000, _channels_in(tensors, expected), compared(tensors, expected)
    if mismatch.only_in(frozenset(mismatch.otherwise)) and mismatch.count:
        head = head_names(space, genotype, facts_for(side, classes, channels))
        classes = classes_in(tensors, head) or classes
        expected = shapes_of(space, genotype, facts_for(side, classes, channels))
        mismatch = compared(tensors, expected)
    resampled = tuple(mismatch.otherwise)
    if mismatch.count and mismatch.only_in(frozenset(resampled)):
        tensors = _resampled(tensors, expected, space, resampled)
        mismatch = compared(tensors, expected)
    if mismatch.count:
        return mismatch
    return Fit(member, genotype, tensors, classes, listed, channels, resampled)


def _resampled(
    tensors: Mapping[str, Tensor], expected: Shapes, space: SearchSpace, names: Iterable[str]
) -> Mapping[str, Tensor]:
    """With what the space can make of those of other shapes; the rest as it is."""
    found = dict(tensors)
    for name in names:
        with suppress(SharingError):
            found[name] = space.resampled(name, tensors[name], expected[name])
    return found


def _channels_in(tensors: Mapping[str, Tensor], expected: Shapes) -> int:
    """Of the images of a file whose network for three channels is `expected`."""
    for name, shape in expected.items():
        found = tuple(tensors[name].shape) if name in tensors else shape
        if len(shape) == len(found) == 4 and shape[1] == 3 and found[2:] == shape[2:]:
            return int(found[1])
    return 3


def _no_fit(
    path: Path,
    space: SearchSpace,
    nearest: tuple[int, str, Mismatch] | None,
    like: str,
) -> str:
    near = f" Nearest is {nearest[1]!r}: {nearest[2]}." if nearest else ""
    return (
        f"weights={path}: it fits no published network of {space.name} (preset {space.preset}), "
        f"neither in our own names nor in {_others(space)}.{near}{like} Choose its space, or leave "
        "weights=null."
    )


def _others(space: SearchSpace) -> str:
    names = list(_ways(space))[1:]
    return f"those of {', '.join(names)}" if names else "any other, as none is known"


@lru_cache(maxsize=8)
def _hash_once(path: Path, modified_ns: int) -> str:
    return sha256(path)
