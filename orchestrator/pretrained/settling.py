"""What starting from trained weights asks of a search's configuration, written into it.

So that workers, a resumed run and the bundles agree, also where the file is gone meanwhile.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.bundle.facts import genotype_of, read_facts
from orchestrator.config import Chosen, StudyConfig
from orchestrator.contracts import Checkpoint, SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.plugins import Plugins
from orchestrator.pretrained.identifying import identify, is_path, meant, released_as
from orchestrator.pretrained.listing import TRAINED, find, listed_by
from orchestrator.pretrained.loading import check_family

__all__ = ["adapts", "each_channel", "settled"]

# What a dataset's constructor calls the mean and deviation that weights were trained with.
_TRAINED_WITH = "trained_with"
# Options of a space that say nothing of what a network of it computes.
_NO_FUNCTION = ("preset", "weights")


@dataclass(frozen=True)
class _Wish:
    """What weights ask: options of the space, mean and deviation of pixels; their lasting name."""

    weights: str
    options: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


def settled(config: StudyConfig, plugins: Plugins) -> StudyConfig:
    """The configuration with the options that its weights ask for; the same where it has none.

    Settled once, it stays. Raises ConfigError for a name that there is not and for an option that
    contradicts, and WeightsError for a file that does not fit.
    """
    weights = config.weights
    if weights is None or weights == TRAINED or _gone(weights):
        return config
    chosen = _with_weights(config.space, weights, plugins)
    kept = _Kept(plugins.create("space", chosen.name, chosen.options), plugins)
    wish = _wish(weights, kept, chosen.options)
    space = Chosen(chosen.name, {**chosen.options, **_agreed(wish, chosen.options)})
    dataset = _with_normalisation(config.dataset, wish, plugins)
    _check_usual(wish, plugins.create("space", chosen.name, {**chosen.options, **wish.options}))
    return replace(config, weights=wish.weights, space=space, dataset=dataset)


def _with_weights(space: Chosen, weights: str, plugins: Plugins) -> Chosen:
    """Told what the search starts from, where its constructor asks for `weights` and has none."""
    takes = inspect.signature(plugins.resolve("space", space.name)).parameters
    if "weights" not in takes or space.options.get("weights") not in (None, TRAINED):
        return space
    return Chosen(space.name, {**space.options, "weights": weights.removeprefix(f"{space.name}/")})


def _gone(weights: str) -> bool:
    """A path that was settled and is no longer there: what it asked for is written down."""
    path = Path(weights)
    return path.is_absolute() and not path.exists()


def _wish(weights: str, kept: _Kept, options: Mapping[str, Any]) -> _Wish:
    if not is_path(weights):
        listed = find(weights, kept.space)
        return _of_checkpoint(listed.name, listed.checkpoint)
    path = Path(weights).expanduser().absolute()
    if path.is_dir():
        facts = read_facts(path)
        check_family(path, genotype_of(facts, path), kept.space)
        asked = {k: v for k, v in facts["space_options"].items() if k not in _NO_FUNCTION}
        return _Wish(str(path), asked, tuple(facts["mean"]), tuple(facts["deviation"]))
    told = json.dumps(dict(options), sort_keys=True, default=str)
    return _of_file(path, path.stat().st_mtime_ns, told, kept)


def adapts(config: StudyConfig) -> bool:
    """Whether a network learns the search's images first, and all others start from it."""
    return config.weights == TRAINED or (config.train.adapt and config.weights is not None)


class _Kept:
    """A space, and where others are, as an argument that a cache does not compare."""

    def __init__(self, space: SearchSpace, plugins: Plugins) -> None:
        self.space = space
        self.plugins = plugins

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and self.space.name == other.space.name

    def __hash__(self) -> int:
        return hash(self.space.name)


@lru_cache(maxsize=8)
def _of_file(path: Path, modified_ns: int, options: str, kept: _Kept) -> _Wish:
    """A file is looked into once a process."""
    known = released_as(path, kept.space)
    if known is not None:
        return _of_checkpoint(str(path), known.checkpoint)
    fit = identify(path, kept.space, kept.plugins)
    listed = meant(fit, kept.space)
    return _of_checkpoint(str(path), listed.checkpoint) if listed else _Wish(str(path))


def _of_checkpoint(weights: str, checkpoint: Checkpoint) -> _Wish:
    return _Wish(weights, checkpoint.options, checkpoint.mean, checkpoint.deviation)


def _agreed(wish: _Wish, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options asked for; raises ConfigError for one that the user has set otherwise."""
    for name, wanted in wish.options.items():
        found = options.get(name)
        if found is not None and found != wanted:
            raise ConfigError(
                f"space.{name}: found {found}, but weights={wish.weights} need {wanted}, as their "
                f"network is another function otherwise. Leave space.{name} out, or choose other "
                "weights."
            )
    return wish.options


def _check_usual(wish: _Wish, space: SearchSpace) -> None:
    """Raise ConfigError for an option that other weights ask for, and these want as usual."""
    if not wish.mean:  # in our own names, and of whatever function the user says
        return
    asked = {name for listed in listed_by(space) for name in listed.checkpoint.options}
    parameters = inspect.signature(type(space)).parameters
    for name in sorted(asked & set(parameters) - set(wish.options)):
        usual, found = parameters[name].default, getattr(space, name, None)
        if None not in (usual, found) and found != usual:
            raise ConfigError(
                f"space.{name}: found {found}, but weights={wish.weights} need {usual}, as their "
                f"network is another function otherwise. Leave space.{name} out, or choose other "
                "weights."
            )


def each_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Of as many channels: of other than the weights' own, each has the mean over those."""
    mean = sum(values) / len(values)
    return tuple(values) if len(values) == channels else (mean,) * channels


def _with_normalisation(dataset: Chosen, wish: _Wish, plugins: Plugins) -> Chosen:
    """Tell the dataset what the weights were trained with, where it asks for that."""
    takes = inspect.signature(plugins.resolve("dataset", dataset.name)).parameters
    if not wish.mean or _TRAINED_WITH not in takes or dataset.options.get(_TRAINED_WITH):
        return dataset
    usual = takes["in_channels"].default if "in_channels" in takes else len(wish.mean)
    channels = dataset.options.get("in_channels", usual)
    told = [list(each_channel(values, channels)) for values in (wish.mean, wish.deviation)]
    return Chosen(dataset.name, {**dataset.options, _TRAINED_WITH: told})
