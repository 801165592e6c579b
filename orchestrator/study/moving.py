"""A run that goes on elsewhere: images in another folder, a device under another name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.candidate.factory import Factory
from orchestrator.config import Chosen, StudyConfig
from orchestrator.errors import ConfigError, RunError
from orchestrator.plan.planning import Plan
from orchestrator.plugins import Plugins

__all__ = ["Moved", "check_same_devices", "moved"]


@dataclass(frozen=True)
class Moved:
    """A configuration with other places, and in sentences what is another."""

    config: StudyConfig
    notes: tuple[str, ...] = ()


def moved(config: StudyConfig, overrides: Sequence[str], plugins: Plugins) -> Moved:
    """The configuration with where things are, by overrides such as dataset.root=PATH.

    What they may say: paths of the dataset, and how a device's place is reached
    (device.NAME.host=…, or device.host=… where there is one device). Raises ConfigError for
    anything else: it would change what was measured.
    """
    notes = []
    for word in overrides:
        key, equals, value = word.lstrip("+").partition("=")
        group, _, rest = key.partition(".")
        if not equals or group not in ("dataset", "device") or not rest:
            raise ConfigError(_refused(word, config, plugins))
        found = _dataset if group == "dataset" else _device
        config, before, now = found(config, rest, value, plugins)
        notes.append(f"{key} is {now} now, {before} before.")
    return Moved(config, tuple(notes))


def check_same_devices(factory: Factory, plan: Plan) -> None:
    """Raise RunError where a device is another than what was measured on."""
    for name, device in factory.assembly.measured.items():
        now, before = dict(device.fingerprint()), dict(plan.fingerprints.get(name, {}))
        apart = [fact for fact in {**before, **now} if before.get(fact) != now.get(fact)]
        if apart:
            told = ", ".join(f"{f}: {before.get(f)!r} before, {now.get(f)!r} now" for f in apart)
            raise RunError(
                f"device {name} is another than the one that candidates were measured on ({told}); "
                "latencies could not be compared. Name the same machine, or start a new search."
            )


# The configuration, and what an option was and is.
_Changed = tuple[StudyConfig, Any, Any]


def _dataset(config: StudyConfig, option: str, value: str, plugins: Plugins) -> _Changed:
    chosen = config.dataset
    if option not in plugins.resolve("dataset", chosen.name).paths:
        raise ConfigError(_refused(f"dataset.{option}={value}", config, plugins))
    path = str(Path(value).expanduser().absolute())
    options = {**chosen.options, option: path}
    changed = replace(config, dataset=Chosen(chosen.name, options))
    return changed, chosen.options.get(option), path


def _device(config: StudyConfig, told: str, value: str, plugins: Plugins) -> _Changed:
    name, dot, option = told.partition(".")
    if not dot and len(config.device) == 1:
        name, option = next(iter(config.device)), told
    if name not in config.device or option not in _place_options(config, name, plugins):
        raise ConfigError(_refused(f"device.{told}={value}", config, plugins))
    try:
        item, now = config.device[name], yaml.safe_load(value)
    except yaml.YAMLError as error:
        where = f"device.{told}={value}"
        raise ConfigError(f"{where}: cannot be read as a value: {error}") from None
    # A place's options may stand at the device, as its file has them, or at the place.
    at_place = option in item.place.options
    before = (item.place.options if at_place else item.options).get(option)
    if at_place:
        place = replace(item.place, options={**item.place.options, option: now})
        item = replace(item, place=place)
    else:
        item = replace(item, options={**item.options, option: now})
    return replace(config, device={**config.device, name: item}), before, now


def _place_options(config: StudyConfig, name: str, plugins: Plugins) -> Mapping[str, Any]:
    place = plugins.resolve("place", config.device[name].place.name)
    return inspect.signature(place).parameters


def _refused(word: str, config: StudyConfig, plugins: Plugins) -> str:
    paths = plugins.resolve("dataset", config.dataset.name).paths
    valid = [f"dataset.{name}=…" for name in paths]
    for name in config.device:
        valid += [f"device.{name}.{option}=…" for option in _place_options(config, name, plugins)]
    return (
        f"resume: found {word!r}, expected {', '.join(valid) or 'no override'}: anything else "
        "would change what was measured. Start a search of its own for that, to "
        "which sampler.history=[RUN] tells what this one knows."
    )
