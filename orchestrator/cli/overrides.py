"""Overrides that Hydra's grammar has no words for, in words that it has.

objective=[accuracy,latency_ms@pi]      an objective by its name and the device that is asked
objective.latency_ms@pi.max=3           and a value of it
objective.small={name: latency_ms}      an instance under a name of its own; of device and
                                        compressor too
device.threads=2                        of the one device, as when there could only be one
device.runtime=auto                     and what every device has, whether its file says so or not
run.dir=/data/föhn (1)                  a text that is no word of the grammar, taken as it is
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.config import INSTANCES
from orchestrator.errors import ConfigError

__all__ = ["restored", "spelt", "translated"]

# "@" is a package to Hydra, so a key holds this while it is composed.
_AT = "__at__"
_NAME = r"[A-Za-z_]\w*"
_LIST = re.compile(r"objective=\[(.*)\]")
_KEY_AT = re.compile(rf"(?:\+\+?)?objective\.({_NAME})@({_NAME})((?:\.{_NAME})*=.*)", re.DOTALL)
_INSTANCE = re.compile(rf"((?:{'|'.join(INSTANCES)})\.{_NAME})=\{{.*", re.DOTALL)
_OF_THE_DEVICE = re.compile(rf"(\+*)device\.({_NAME})=(?!\{{)(.*)", re.DOTALL)
# What a device has of its own, beside the options of its runtime: no file of it has to say so.
_OF_ANY_DEVICE = ("runtime", "place")
_NAMED_DEVICE = re.compile(rf"device\.{_NAME}\.(?:{'|'.join(_OF_ANY_DEVICE)})=.*", re.DOTALL)
_FIELDS = "{role: objective, min: null, max: null, reference: null, device: null}"


def translated(
    overrides: Sequence[str], composed: Callable[[Sequence[str]], Mapping[str, Any]]
) -> list[str]:
    """The overrides as Hydra reads them; `composed` is asked for what some make of `device`.

    Raises ConfigError for a value of "the" device where there are several.
    """
    told = spelt(overrides)
    of_the_device = [word for word in told if _OF_THE_DEVICE.fullmatch(word)]
    if not of_the_device:
        return told
    others = [word for word in told if word not in of_the_device]
    devices = composed(others).get("device") or {}
    if isinstance(devices.get("name"), str):  # of a plugin whose file names no package
        return told
    return [_of_one(word, list(devices)) if word in of_the_device else word for word in told]


def spelt(overrides: Sequence[str]) -> list[str]:
    """The overrides with keys and instances as Hydra spells them, which are left as they are."""
    return [_quoted(word) for override in overrides for word in _instance(override)]


def restored(data: Any) -> Any:
    """What was composed, its keys as they were given."""
    if isinstance(data, list):
        return [restored(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    return {str(key).replace(_AT, "@"): restored(value) for key, value in data.items()}


def _quoted(override: str) -> str:
    """What the grammar cannot read, and is no list, mapping or quoted text, as a plain text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    if not equals or not value or value[0] in "[{'\"" or "${" in value:
        return override
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        escaped = value.replace("'", "\\'")
        return f"{key}='{escaped}'"
    return override


def _instance(override: str) -> list[str]:
    if found := _KEY_AT.fullmatch(override):
        return [f"++objective.{found[1]}{_AT}{found[2]}{found[3]}"]
    if found := _LIST.fullmatch(override):
        names = [name.strip() for name in found[1].split(",")]
        plain = ",".join(name for name in names if "@" not in name)
        placed = [name.replace("@", _AT) for name in names if "@" in name]
        return [f"objective=[{plain}]", *(f"++objective.{name}={_FIELDS}" for name in placed)]
    if found := _INSTANCE.fullmatch(override):
        fields = [f"++{found[1]}={_FIELDS}"] if override.startswith("objective.") else []
        return [*fields, f"++{override}"]
    return [f"++{override}" if _NAMED_DEVICE.fullmatch(override) else override]


def _of_one(override: str, devices: Sequence[str]) -> str:
    found = _OF_THE_DEVICE.fullmatch(override)
    assert found is not None
    if len(devices) != 1:
        raise ConfigError(
            f"device.{found[2]}: of which of the devices {', '.join(devices) or '(there is none)'}?"
            f" Write device.NAME.{found[2]}={found[3]}."
        )
    adding = "++" if found[2] in _OF_ANY_DEVICE else found[1]
    return f"{adding}device.{devices[0]}.{found[2]}={found[3]}"
