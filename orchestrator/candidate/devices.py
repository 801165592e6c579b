"""The runtimes of a device: each of them at the device's place."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from orchestrator.config import Chosen, DeviceConfig, StudyConfig
from orchestrator.contracts import HERE, Device, Place, Runtime
from orchestrator.errors import ConfigError, OrchestratorError, closest
from orchestrator.plugins import Plugins

__all__ = [
    "SettledRuntimes",
    "make_device",
    "make_place",
    "make_runtimes",
    "seat",
    "seats",
    "settle_device",
    "settle_runtimes",
]

# What all runtimes of a device have alike, so that they can be compared.
_SHARED = ("threads",)


@dataclass(frozen=True)
class SettledRuntimes:
    """A configuration whose devices name their runtimes, and what the user should be told."""

    config: StudyConfig
    notes: list[str] = field(default_factory=list)


def make_device(item: DeviceConfig, plugins: Plugins) -> Device:
    """The device's first runtime, at its place; raises UsageError."""
    item = _placed(item, plugins)
    device: Device = plugins.create("device", item.name, item.options)
    if item.place.name == HERE.name:
        if isinstance(device, Runtime):
            device.check_threads()
        return device
    if not isinstance(device, Runtime):
        raise ConfigError(
            f"device {item.name!r} is no runtime and is measured by this very process; found "
            f"place={item.place.name}, expected place=here."
        )
    return device.at(make_place(item, plugins))


def make_place(item: DeviceConfig, plugins: Plugins) -> Place:
    """Where a device's runtimes are executed; raises UsageError."""
    place = _placed(item, plugins).place
    made: Place = plugins.create("place", place.name, place.options)
    return made


def _placed(item: DeviceConfig, plugins: Plugins) -> DeviceConfig:
    """The place's options with the place; they may stand at the device: `device.host=pi`.

    Raises ConfigError for one that neither the runtime nor the place takes.
    """
    own = _taken("device", item.name, plugins)
    place = _taken("place", item.place.name, plugins)
    flat = {key: value for key, value in item.options.items() if key not in own}
    for key in flat.keys() - place:
        known = closest(key, own | place)
        raise ConfigError(f"device.{item.name}.{key}: unknown key; {known}")
    options = {key: value for key, value in item.options.items() if key in own}
    there = Chosen(item.place.name, {**flat, **item.place.options})
    return replace(item, options=options, place=there)


def _taken(family: str, name: str, plugins: Plugins) -> set[str]:
    return set(inspect.signature(plugins.resolve(family, name)).parameters)


def make_runtimes(item: DeviceConfig, plugins: Plugins) -> dict[str, Device]:
    """The runtimes of a device by their names, each at its place; raises UsageError.

    The device's own name comes first, whether its list of runtimes has it or not.
    """
    if item.runtime == "auto":
        raise ConfigError("device.runtime: auto must be settled before runtimes are made.")
    names = dict.fromkeys([item.name, *(item.runtime or ())])
    made = {name: make_device(_called(name, item, plugins), plugins) for name in names}
    joint = [device for device in made.values() if _timed_by_agent(device)]
    if len(joint) > 1:
        Runtime.join(joint)
    return made


def seats(device: str, runtimes: Mapping[str, Device]) -> dict[str, Device]:
    """The runtimes of a device by the names that measuring knows them under: pi, pi.openvino."""
    return {seat(device, "" if n == 0 else name): runtimes[name] for n, name in enumerate(runtimes)}


def seat(device: str, runtime: str) -> str:
    """What measuring calls a runtime of a device; the first one is called as the device."""
    return f"{device}.{runtime}" if runtime else device


def _timed_by_agent(device: Device) -> TypeGuard[Runtime]:
    """One that measures in a way of its own cannot be measured together with others."""
    return isinstance(device, Runtime) and type(device).latencies is Runtime.latencies


def settle_runtimes(config: StudyConfig, plugins: Plugins) -> SettledRuntimes:
    """Runtimes by their names where the configuration says "auto", and their quantizers.

    Settled once, it stays. Raises UsageError for a device, or a runtime that is named, which
    cannot be made; what "auto" leaves out is told with the reason.
    """
    notes: list[str] = []
    devices = {key: settle_device(key, item, plugins, notes) for key, item in config.device.items()}
    asked = _asked(replace(config, device=devices), plugins)
    joined = _quantizers(asked, config.compressor, plugins, notes)
    if devices == config.device and not joined:
        return SettledRuntimes(config, notes)
    compressor = {**config.compressor, **joined}
    return SettledRuntimes(replace(config, device=devices, compressor=compressor), notes)


def settle_device(key: str, item: DeviceConfig, plugins: Plugins, notes: list[str]) -> DeviceConfig:
    """One device with its runtimes by name; `notes` is told what "auto" leaves out, and why."""
    if item.runtime != "auto":
        for name in item.runtime or ():
            plugins.resolve("device", name)
        return item
    found = [item.name]
    for name in plugins.offered("device"):
        if name == item.name:
            continue
        if reason := _unfit(_called(name, item, plugins), plugins):
            notes.append(f"device {key} goes without runtime {name}: {reason}")
        else:
            found.append(name)
    return replace(item, runtime=tuple(found))


def _unfit(item: DeviceConfig, plugins: Plugins) -> str:
    """Why a runtime cannot take part; empty where it can."""
    try:
        kind = plugins.resolve("device", item.name)
        if not issubclass(kind, Runtime):
            return "it is no runtime that can be brought to a place"
        if kind.costly:
            return f"{kind.costly}; name it in device.runtime to have it too"
        device = make_device(item, plugins)
        try:
            device.check()
            if not device.shares_host:
                device.fingerprint()  # another machine says itself whether it has the runtime
        finally:
            device.close()
    except OrchestratorError as error:
        return str(error)
    return ""


def _called(name: str, item: DeviceConfig, plugins: Plugins) -> DeviceConfig:
    """The device under the name of one of its runtimes, with the options that this one has."""
    item = _placed(item, plugins)
    if name == item.name:
        return replace(item, runtime=None)
    entry = plugins.offered("device").get(name)
    takes = set[str]()
    if entry is not None and not entry.missing:
        takes = _taken("device", name, plugins)
    options = {k: v for k, v in item.options.items() if k in _SHARED and k in takes}
    return DeviceConfig(name, place=item.place, options=options)


def _asked(config: StudyConfig, plugins: Plugins) -> dict[str, DeviceConfig]:
    """The first device, and those that objectives of files ask."""
    names = {next(iter(config.device))} | {
        item.device
        for item in config.objective.values()
        if item.device and plugins.resolve("objective", item.name).tier == "deployed"
    }
    return {key: item for key, item in config.device.items() if key in names}


def _quantizers(
    devices: Mapping[str, DeviceConfig],
    configured: Mapping[str, Chosen],
    plugins: Plugins,
    notes: list[str],
) -> dict[str, Chosen]:
    """The usual quantizers of further runtimes, where a quantizer of one runtime is configured.

    Whether they are of one device or of several.
    """
    names = {chosen.name for chosen in configured.values()}
    several = len(devices) > 1
    kinds = [k for item in devices.values() for k in _classes(item, plugins, alone=not several)]
    if not any(names & set(kind.quantizers) for kind in kinds):
        return {}
    joined: dict[str, Chosen] = {}
    offered = plugins.offered("compressor")
    for kind in kinds:
        if not kind.quantizers or names & set(kind.quantizers):
            continue
        usual = kind.quantizers[0]
        if usual not in offered:
            notes.append(f"{kind.name} goes without {usual}, which no plugin offers")
        elif offered[usual].missing:
            lacking = " and ".join(offered[usual].missing)
            notes.append(f"{kind.name} goes without {usual}, which needs {lacking}")
        else:
            joined[usual] = Chosen(usual)
    return joined


def _classes(item: DeviceConfig, plugins: Plugins, *, alone: bool) -> Iterator[Any]:
    """The classes of a device's runtimes; one that is `alone` and has but one has no others."""
    named = item.runtime if item.runtime and item.runtime != "auto" else ()
    if named or not alone:
        for name in dict.fromkeys([item.name, *named]):
            yield plugins.resolve("device", name)
