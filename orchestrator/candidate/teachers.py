"""Teachers that a configuration names: bundles, networks of the user's own, or several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from orchestrator.bundle import read_facts, rebuild
from orchestrator.candidate.teacher_fit import check_fit, other_images, renormalised
from orchestrator.contracts import ImageFacts, Outputs
from orchestrator.data import DataSummary
from orchestrator.errors import ConfigError, WeightsError
from orchestrator.plugins import Plugins
from orchestrator.pretrained.reading import read_state
from orchestrator.training.teaching import Ensemble
from orchestrator.trials import FixedTrial

__all__ = ["check_teachers", "load_teacher", "named_teachers"]

_OWN = "own"


def named_teachers(told: str | Sequence[str] | None) -> tuple[str, ...]:
    """Those of `StudyConfig.teacher`, in order."""
    if told is None:
        return ()
    return (told,) if isinstance(told, str) else tuple(told)


def load_teacher(
    told: Sequence[str], facts: ImageFacts, outputs: Outputs, plugins: Plugins
) -> nn.Module:
    """One network that answers for all of them, in eval mode; several answer by their mean.

    Raises RunError, ConfigError, and WeightsError for a file that is not the network's.
    """
    members = [_one(each, facts, outputs, plugins) for each in told]
    network = members[0] if len(members) == 1 else Ensemble(members)
    return network.eval()


def check_teachers(
    told: Sequence[str], facts: ImageFacts, data: DataSummary | None = None
) -> list[str]:
    """Raise RunError or ConfigError for one that cannot teach; what a user should know of others.

    Names of classes, their order, channels and size are compared, and with `data` which images it
    was trained on. Networks of the user's own are not made for that.
    """
    notes = []
    for each in told:
        if _source_of(each) is not None:
            continue
        stored = read_facts(Path(each))
        own = ImageFacts.from_json(stored)
        check_fit(each, own, facts)
        if (own.mean, own.deviation) != (facts.mean, facts.deviation):
            notes.append(f"teacher: {each} is given images normalised as its own were.")
        notes += other_images(each, stored, data) if data else []
    return notes


def _one(told: str, facts: ImageFacts, outputs: Outputs, plugins: Plugins) -> nn.Module:
    source = _source_of(told)
    if source is None:
        own = ImageFacts.from_json(read_facts(Path(told)))
        return renormalised(rebuild(Path(told), plugins), facts, own)
    network, file = source
    return _own(network, Path(file), (facts, outputs), plugins)


def _source_of(told: str) -> tuple[str, str] | None:
    """Factory and file of "package.module:factory@FILE"; None for the path of a bundle."""
    factory, at, file = told.partition("@")
    if not (at and ":" in factory) or Path(told).is_dir():
        return None
    if not file:
        raise ConfigError(f"teacher: found {told!r}, expected package.module:factory@FILE.")
    return factory, file


def _own(
    factory: str, file: Path, wanted: tuple[ImageFacts, Outputs], plugins: Plugins
) -> nn.Module:
    """As its user wrote it, with the weights of a file; made as the space of own networks does."""
    facts, outputs = wanted
    options = {"network": factory, "image_size": facts.image_size}
    space = plugins.create("space", _OWN, options)
    whole = next(iter(space.published().values()))
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = space.build(space.suggest(FixedTrial(whole.choices)), facts, outputs)
    state = read_state(file)
    try:
        fit = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"teacher: {file} does not fit {factory}: {error}") from error
    wrong = [n for n in (*fit.missing_keys, *fit.unexpected_keys) if "num_batches" not in n]
    if wrong:
        raise WeightsError(
            f"teacher: {file} does not fit {factory}, for example at {wrong[0]}; expected the "
            "weights of that very network."
        )
    return network
