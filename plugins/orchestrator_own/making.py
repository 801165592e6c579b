"""The user's network as its own code makes it, for a number of classes and of channels."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from orchestrator.errors import BuildError, ConfigError, closest, plural

__all__ = ["TIMM", "Wanted", "check_source", "make", "refitted", "takes"]

# Networks of timm are named "timm/NAME".
TIMM = "timm/"
# What factories call their arguments.
_NAMES = {
    "classes": ("classes", "num_classes", "n_classes", "num_labels"),
    "in_channels": ("in_channels", "in_chans", "channels", "num_channels"),
    "image_size": ("image_size", "img_size", "input_size"),
}


@dataclass(frozen=True)
class Wanted:
    """What a network is made for: logits of `classes`, images (in_channels, side, side)."""

    classes: int
    in_channels: int
    image_size: int


def make(source: str, wanted: Wanted) -> nn.Module:
    """The network as its code makes it; weights are drawn from torch's global generator.

    What its factory takes no argument for is as the factory has it: see `takes`. Raises BuildError
    where the factory does.
    """
    factory = _factory(source)
    words, places = _arguments(source)
    values = vars(wanted)
    try:
        network = factory(
            *(values[meaning] for meaning in places),
            **{name: values[meaning] for meaning, name in words.items()},
        )
    except (Exception, SystemExit) as error:
        raise BuildError(f"space.network={source} made no network: {error!r}.") from error
    if not isinstance(network, nn.Module):
        raise BuildError(
            f"space.network={source} gave {type(network).__name__}, expected a torch.nn.Module."
        )
    return network


def takes(source: str) -> frozenset[str]:
    """Which of "classes", "in_channels" and "image_size" the factory is told."""
    words, places = _arguments(source)
    return frozenset(words) | frozenset(places)


def check_source(source: str) -> None:
    """Raise ConfigError for a network that cannot be found, saying what to do."""
    _arguments(source)


@lru_cache(maxsize=8)
def _factory(source: str) -> Callable[..., Any]:
    if source.startswith(TIMM):
        return _of_timm(source.removeprefix(TIMM))
    module_name, colon, attribute = source.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(
            f"space.network: found {source!r}, expected package.module:factory, or timm/NAME."
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(
            f"space.network: {module_name!r} is no name of a module, expected package.module with "
            "dots; start from the folder that holds it, or name its folder in PYTHONPATH."
        )
    if module_name.endswith(".py"):
        raise ConfigError(
            f"space.network: found the file {module_name}, expected a module; did you mean "
            f"{module_name.removesuffix('.py')}:{attribute}?"
        )
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(
            f"space.network: {module_name!r} is Python's own, expected a module of yours, which "
            "makes networks."
        )
    module = _imported(module_name)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name, item in vars(module).items() if callable(item)]
            hint = closest(attribute, [n for n in names if not n.startswith("_")])
            raise ConfigError(f"space.network: {module_name} has no {attribute!r}; {hint}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"space.network: {source} is {found!r}, expected a function or a class.")
    return found  # type: ignore[no-any-return]


def _imported(name: str) -> Any:
    """A module of the user's, found beside what is installed in the current folder too."""
    here = str(Path.cwd())
    # As `python -m` has it; the installed command and a worker have not.
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        lacks = isinstance(error, ModuleNotFoundError) and name.startswith(error.name or name)
        todo = (
            "Start from the folder that holds it, install it (pip install -e .), or name its "
            "folder in PYTHONPATH."
            if lacks
            else "It must be importable without doing anything."
        )
        raise ConfigError(
            f"space.network: the module {name!r} cannot be imported: {error!r}; looked for in "
            f"{here} and where Python looks. {todo}"
        ) from error


def _of_timm(name: str) -> Callable[..., Any]:
    if importlib.util.find_spec("timm") is None:
        raise ConfigError(f"space: {TIMM}{name} needs timm, not installed here: pip install timm")
    try:
        timm: Any = importlib.import_module("timm")
    except Exception as error:  # it imports torchvision, which must be of the same torch
        raise ConfigError(f"space: timm is installed but does not import: {error!r}.") from error
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise ConfigError(f"space: timm has no {name!r}; {closest(name.partition('.')[0], known)}")
    sized = bool(timm.get_pretrained_cfg(name) and timm.get_pretrained_cfg(name).fixed_input_size)

    def plain(num_classes: int, in_chans: int) -> Any:
        return timm.create_model(name, num_classes=num_classes, in_chans=in_chans)

    def of_size(num_classes: int, in_chans: int, img_size: int) -> Any:
        sides = {"num_classes": num_classes, "in_chans": in_chans, "img_size": img_size}
        return timm.create_model(name, **sides)

    return of_size if sized else plain


@lru_cache(maxsize=8)
def _arguments(source: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Meaning → keyword of the factory, and the meanings that go in by place."""
    try:
        parameters = list(inspect.signature(_factory(source)).parameters.values())
    except (TypeError, ValueError):
        return {}, ()
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    words = {
        meaning: next(name for name in names if name in named)
        for meaning, names in _NAMES.items()
        if set(names) & set(named)
    }
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in words.values()
    ]
    if not needed:
        return words, ()
    if words or len(needed) > 2:
        raise ConfigError(
            f"space.network={source} needs {', '.join(needed)}, expected a factory of (classes, "
            "in_channels), perhaps image_size, or without arguments. Give the others defaults, or "
            "write a function of your own that gives them."
        )
    return {}, ("classes", "in_channels")[: len(needed)]


def refitted(network: nn.Module, names: Mapping[str, str], wanted: Wanted) -> None:
    """Give the layers called `names["classes"]` and `names["in_channels"]` other sizes, in place.

    For factories that are not told them. Raises BuildError for a layer that cannot have them.
    """
    if "classes" in names:
        _replace(network, names["classes"], _with_outputs, wanted.classes)
    if "in_channels" in names:
        _replace(network, names["in_channels"], _with_inputs, wanted.in_channels)


def _replace(
    network: nn.Module, name: str, change: Callable[[nn.Module, int], nn.Module], size: int
) -> None:
    fresh = change(network.get_submodule(name), size)
    network.set_submodule(name, fresh)


def _with_outputs(layer: nn.Module, size: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        if layer.out_features == size:
            return layer
        return nn.Linear(layer.in_features, size, bias=layer.bias is not None)
    assert isinstance(layer, _ConvNd)
    if layer.out_channels == size:
        return layer
    return _alike(layer, layer.in_channels, size)


def _with_inputs(layer: nn.Module, size: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        raise BuildError(
            f"the first layer is {layer}, which cannot be fitted to images of "
            f"{plural(size, 'channel')}. Let the factory take in_channels."
        )
    assert isinstance(layer, _ConvNd)
    if layer.in_channels == size:
        return layer
    if layer.groups != 1:
        raise BuildError(f"{layer} is grouped and cannot be fitted to {plural(size, 'channel')}.")
    return _alike(layer, size, layer.out_channels)


def _alike(layer: _ConvNd, inputs: int, outputs: int) -> nn.Module:
    kind: Any = type(layer)
    return kind(  # type: ignore[no-any-return]
        inputs,
        outputs,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=layer.bias is not None,
        padding_mode=layer.padding_mode,
    )
