"""Trained weights as a network's tensors under its own names, and whom they are owed to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from orchestrator.bundle.facts import genotype_of, read_facts, read_tensors, sha256, start_of
from orchestrator.contracts import Checkpoint, ImageFacts, SearchSpace, Task
from orchestrator.errors import ConfigError, WeightsError, plural
from orchestrator.plugins import Plugins
from orchestrator.pretrained.fetching import Fetched, fetch
from orchestrator.pretrained.identifying import (
    Fit,
    facts_for,
    identify,
    is_path,
    likeness,
    meant,
    released_as,
)
from orchestrator.pretrained.listing import Listed, find
from orchestrator.pretrained.mapping import (
    classes_in,
    compared,
    fit_channels,
    head_names,
    member_genotype,
    shapes_of,
)
from orchestrator.pretrained.reading import read_state
from orchestrator.records import Choices, Credit, Genotype

__all__ = ["Loaded", "check_family", "load_checkpoint"]

_IMAGENET = 1000
# A class folder of ImageNet's; a thousand of them, in order, are what its checkpoints tell apart.
_WORDNET = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Loaded:
    """A trained network's tensors by their names in the space's own network, on the CPU.

    `genotype` is the network's, without compression; `facts` are those of the images it was
    trained for, with the dataset's channels and classes: built for these, it has every tensor in
    its shape. The classifier's are in `head` instead where its classes are others than the
    dataset's: what it reads of the features tells how much they matter. `notes` are what the user
    should be told, `choices` what the network was drawn with, as far as anybody wrote it down.
    """

    credit: Credit
    genotype: Genotype
    facts: ImageFacts
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    head: Mapping[str, Tensor] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """Tensors that fit `genotype` for images of `image_size` and `channels`, whole.

    `classes` are the names of what they tell apart, where these are known.
    """

    credit: Credit
    genotype: Genotype
    tensors: Mapping[str, Tensor]
    image_size: int
    channels: int = 3
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    choices: Choices = field(default_factory=dict)


def load_checkpoint(
    weights: str,
    space: SearchSpace,
    facts: ImageFacts,
    *,
    task: Task | None = None,
    plugins: Plugins | None = None,
) -> Loaded:
    """The weights that `StudyConfig.weights` names, fitted to images of `facts`.

    `space` must have been made with the checkpoint's options, as `assemble` does. What is not at
    hand is fetched, which takes minutes for a large one. A file that does not fit is told what of
    all that `plugins` list it is like, where they are given. Raises ConfigError for a name that
    there is not, and WeightsError for what cannot be had, read or fitted.
    """
    found = _found(weights, space, plugins)
    tensors, changes = dict(found.tensors), []
    left = dict[str, Tensor]()
    own = replace(facts, image_size=found.image_size)
    if not _keeps_classifier(found, facts, task):
        head = head_names(space, found.genotype, own)
        left = {name: tensors.pop(name) for name in head}
        changes.append(
            f"without the classifier, as its {plural(found.credit.classes, 'class')} are not known "
            f"to be the dataset's {len(facts.classes)}"
        )
    if found.channels != facts.in_channels:
        if facts.in_channels == 3:
            raise WeightsError(
                f"weights={weights}: of a network for images of "
                f"{plural(found.channels, 'channel')}, found 3. Set "
                f"dataset.in_channels={found.channels}, or leave weights=null."
            )
        tensors, change = fit_channels(tensors, space, found.genotype, own)
        changes.append(change)
    part = ", ".join(["all of it", *changes])
    notes = (*found.notes, f"weights of {found.credit.name}: {part}", *_unchecked(found.credit))
    credit = replace(found.credit, part=part)
    return Loaded(credit, found.genotype, own, tensors, notes, left, found.choices)


def _found(weights: str, space: SearchSpace, plugins: Plugins | None) -> _Found:
    if not is_path(weights):
        listed = find(weights, space)
        _check_options(listed, space)
        return _released(listed, fetch(listed), space, plugins)
    path = Path(weights).expanduser().absolute()
    if path.is_dir():
        return _bundled(path, space)
    known = released_as(path, space)
    if known is not None:
        _check_options(known, space)
        return _released(known, Fetched(path, sha256(path), str(path)), space, plugins)
    return _identified(path, space, plugins)


def _released(listed: Listed, file: Fetched, space: SearchSpace, plugins: Plugins | None) -> _Found:
    """A listed file: every name and shape of the member's network, and nothing over."""
    checkpoint = listed.checkpoint
    genotype = member_genotype(space, checkpoint.member)
    state = read_state(file.path)
    try:
        tensors = space.translate(state, checkpoint.naming)
    except Exception as error:  # of names that it does not know, whatever it makes of them
        raise WeightsError(
            f"weights={listed.name}: {file.path} is not in the names of {checkpoint.naming}: "
            f"{error!r}.{likeness(state, plugins)}"
        ) from error
    facts = facts_for(checkpoint.image_size, checkpoint.classes)
    mismatch = compared(tensors, shapes_of(space, genotype, facts))
    if mismatch.count:
        head = head_names(space, genotype, facts)
        count = classes_in(tensors, head)
        raise WeightsError(
            _other_classes(listed, file.path, count)
            if count not in (None, checkpoint.classes) and mismatch.only_in(head)
            else f"weights={listed.name}: {file.path} does not fit {checkpoint.member!r} of "
            f"{space.name}: {mismatch}.{likeness(state, plugins)}"
        )
    return _Found(_credit(listed, file), genotype, tensors, checkpoint.image_size)


def _check_options(listed: Listed, space: SearchSpace) -> None:
    """Raise ConfigError for a space that was not made with the checkpoint's options."""
    for name, wanted in listed.checkpoint.options.items():
        found = getattr(space, name, wanted)
        if found != wanted:
            raise ConfigError(
                f"weights={listed.name} needs space.{name}={wanted}, found {found}: otherwise its "
                f"network is another function. Say +space.{name}={wanted}."
            )


def _other_classes(listed: Listed, path: Path, found: int | None) -> str:
    told = "no classes" if found is None else plural(found, "class")
    return (
        f"weights={listed.name}: {path} tells {told} apart, expected "
        f"{listed.checkpoint.classes}. It is another file than the one that is listed."
    )


def _credit(listed: Listed, file: Fetched) -> Credit:
    checkpoint: Checkpoint = listed.checkpoint
    return Credit(
        name=listed.name,
        source=file.source,
        sha256=file.sha256,
        licence=checkpoint.licence,
        credit=checkpoint.credit,
        data=checkpoint.data,
        member=checkpoint.member,
        exact=checkpoint.exact,
        classes=checkpoint.classes,
        checked=bool(checkpoint.sha256),
    )


def _identified(path: Path, space: SearchSpace, plugins: Plugins | None) -> _Found:
    """A file that nobody lists, in our names or in those of a listed one."""
    fit = identify(path, space, plugins)
    names = [listed.name for listed in fit.listed]
    listed = meant(fit, space)
    if listed is not None:
        _check_options(listed, space)
    side = listed.checkpoint.image_size if listed else 0
    credit = Credit(
        name=str(path),
        source=str(path),
        sha256=sha256(path),
        licence=Credit.UNKNOWN,
        credit="whoever made the file",
        data=Credit.UNKNOWN,
        member=fit.member,
        classes=fit.classes,
        checked=False,
    )
    told = f"weights={path}: a file that nobody lists, taken as {space.name}/{fit.member}"
    told += f" in the names of {' or '.join(names)}" if names else " in our own names"
    if len({str(dict(listed.checkpoint.options)) for listed in fit.listed}) > 1:
        told += (
            f"; these are different functions, tell which by the space's options: {_options(fit)}"
        )
    if fit.resampled:
        told += f"; for images of another size, to which {', '.join(fit.resampled)} are resampled"
    size = side or space.published()[fit.member].image_size
    return _Found(credit, fit.genotype, fit.tensors, size, fit.channels, notes=(told,))


def _options(fit: Fit) -> str:
    """What options the listed weights have that a file could be."""
    return ", ".join(
        f"{dict(listed.checkpoint.options) or 'none'} for {listed.name}" for listed in fit.listed
    )


def _bundled(folder: Path, space: SearchSpace) -> _Found:
    """A network of the user's own, of the same space."""
    facts = read_facts(folder)
    genotype = genotype_of(facts, folder).plain()
    check_family(folder, genotype, space)
    _check_same_options(folder, facts, space)
    images = ImageFacts.from_json(facts)
    file = folder / "weights.safetensors"
    tensors = read_tensors(facts, folder, file.name)
    if genotype.head:
        raise WeightsError(
            f"weights={folder}: a network for {genotype.task} with a head of its own, expected a "
            "classifier. Give a classifier's bundle, or leave weights=null."
        )
    mismatch = compared(tensors, shapes_of(space, genotype, images))
    if mismatch.count:
        raise WeightsError(
            f"weights={folder}: its weights are not those of its whole network, as pruning leaves "
            f"them: {mismatch}. Give a bundle that was not pruned, or leave weights=null."
        )
    return _Found(
        _own_credit(folder, facts, sha256(file)),
        genotype,
        tensors,
        images.image_size,
        images.in_channels,
        images.classes,
        choices=facts.get("choices", {}),
    )


def check_family(folder: Path, genotype: Genotype, space: SearchSpace) -> None:
    """Raise ConfigError for a bundle of another space or preset than the search's."""
    found, expected = (genotype.space, genotype.preset), (space.name, space.preset)
    if found != expected:
        raise ConfigError(
            f"weights={folder}: a network of {found[0]} (preset {found[1]}), found the search in "
            f"{expected[0]} (preset {expected[1]}). Search +search={found[0]} "
            f"space.preset={found[1]}, or give another bundle."
        )


def _check_same_options(folder: Path, facts: Mapping[str, Any], space: SearchSpace) -> None:
    for name, wanted in facts["space_options"].items():
        if getattr(space, name, wanted) != wanted:
            raise ConfigError(
                f"weights={folder} needs space.{name}={wanted}, found {getattr(space, name)}."
            )


def _own_credit(folder: Path, facts: Mapping[str, Any], digest: str) -> Credit:
    """Of a bundle; what it started from itself is owed still."""
    before = start_of(facts, folder)
    classes = facts["classes"]
    data = f"{plural(len(classes), 'class')} of its own, licence {facts['licence']}"
    return Credit(
        name=str(folder),
        source=str(folder),
        sha256=digest,
        licence=before.licence if before else "your own",
        credit=f"{before.credit}, by way of {before.name}" if before else "a search of your own",
        data=f"{before.data}; then {data}" if before else data,
        member=str(facts["id"]),
        exact=before.exact if before else True,
        classes=len(classes),
    )


def _keeps_classifier(found: _Found, facts: ImageFacts, task: Task | None) -> bool:
    """Whether its classes can be the dataset's, in their order.

    Of a bundle the names are known. Of a released file only their number is: a thousand names of
    WordNet's, in order, are taken to be ImageNet's.
    """
    if task is not None and task.on_features:
        return False
    if found.classes is not None:
        return found.classes == tuple(facts.classes)
    names = list(facts.classes)
    wordnet = all(_WORDNET.fullmatch(name) for name in names) and names == sorted(names)
    return found.credit.classes == len(names) == _IMAGENET and wordnet


def _unchecked(credit: Credit) -> list[str]:
    if credit.checked:
        return []
    return [f"{credit.name}: sha256 {credit.sha256} (not checked: no sha256 is listed for it)"]
