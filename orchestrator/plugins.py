"""Finding and registering plugins; one typed method per hook.

Built-ins come from a tuple, third parties from entry points of group "orchestrator". Each is
loaded on its own: one that breaks is named, kept in `problems`, and left out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pluggy

from orchestrator import hookspecs
from orchestrator.contracts.offer import Offer
from orchestrator.errors import ConfigError, PluginError, closest

__all__ = ["BUILT_IN", "FAMILIES", "Offered", "Plugins", "Problem", "installed"]

BUILT_IN = (
    "orchestrator_spaces",
    "orchestrator_datasets",
    "orchestrator_objectives",
    "orchestrator_proxies",
    "orchestrator_distillation",
    "orchestrator_pruning",
    "orchestrator_onnxruntime",
    "orchestrator.estimators",
    "orchestrator.search.samplers",
)

# Packages that were built in under another name.
_MERGED = {
    "orchestrator_devices": "orchestrator_onnxruntime",
    "orchestrator_quantization": "orchestrator_onnxruntime",
}

# Config group → hook that offers its members.
FAMILIES = {
    "space": "orchestrator_search_spaces",
    "dataset": "orchestrator_datasets",
    "objective": "orchestrator_objectives",
    "compressor": "orchestrator_compressors",
    "device": "orchestrator_devices",
    "estimator": "orchestrator_estimators",
    "sampler": "orchestrator_samplers",
}


@dataclass(frozen=True)
class Problem:
    """A plugin that was left out, and why."""

    plugin: str
    package: str
    message: str
    details: str = ""


@dataclass(frozen=True)
class Offered:
    """An offer and the plugin it came from."""

    family: str
    offer: Offer
    plugin: str
    package: str


@dataclass
class Plugins:
    """The registered plugins. Made by `installed`, or by hand in tests."""

    manager: pluggy.PluginManager
    problems: list[Problem] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)

    def register(self, module: Any, name: str, package: str) -> None:
        """Add one plugin; what is wrong with it becomes a problem and it is left out."""
        if self.manager.has_plugin(name):
            message = f"the name {name!r} is taken by {self.packages.get(name, 'another plugin')}"
            self.problems.append(Problem(name, package, message))
            return
        try:
            self.manager.register(module, name=name)
            _refuse_misspelt(self.manager, module, name)
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self.problems.append(Problem(name, package, str(error)))
            return
        self.packages[name] = package

    def offered(self, family: str) -> dict[str, Offered]:
        """Name → offer of a config group. Two offers of one name are a PluginError."""
        found: dict[str, Offered] = {}
        for plugin, offers in self._results(FAMILIES[family], Offer):
            for offer in offers:
                entry = Offered(family, offer, plugin, self.packages[plugin])
                if offer.name in found:
                    raise PluginError(_clash(found[offer.name], entry))
                found[offer.name] = entry
        return found

    def resolve(self, family: str, name: str) -> Any:
        """The class behind an offered name; raises PluginError, saying what there is."""
        offers = self.offered(family)
        if name not in offers:
            raise PluginError(self._unknown(family, name, offers))
        entry = offers[name]
        module, _, attribute = entry.offer.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            hint = f" {entry.offer.hint}" if entry.offer.hint else ""
            raise PluginError(
                f"{family} {name!r} of {entry.package} does not load: {error!r}.{hint}"
            ) from error

    def create(
        self,
        family: str,
        name: str,
        options: Mapping[str, Any],
        *,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """An instance, its options checked against the constructor's types.

        What is `given` is not the user's: it is passed on where the constructor takes it.
        """
        factory = self.resolve(family, name)
        where = f"{family}.{name}" if family in ("objective", "compressor") else family
        taken = inspect.signature(factory).parameters
        ours = {key: value for key, value in (given or {}).items() if key in taken}
        return factory(**_checked_options(factory, {**options, **ours}, where))

    def config_dirs(self) -> list[str]:
        """Hydra search paths of all plugins."""
        found = self._results("orchestrator_config_dirs", str)
        return [path for _, paths in found for path in paths]

    def notify(self, hook: str, **arguments: Any) -> list[Problem]:
        """Call an observer hook of every plugin; one that raises never stops the others."""
        failed = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            accepted = {name: arguments[name] for name in implementation.argnames}
            try:
                implementation.function(**accepted)
            except Exception as error:
                name = implementation.plugin_name
                details = traceback.format_exc()
                message = f"{hook} raised {error!r}"
                failed.append(Problem(name, self.packages.get(name, "?"), message, details))
        return failed

    def _results(self, hook: str, kind: type) -> Iterator[tuple[str, Any]]:
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            name = implementation.plugin_name
            if name not in self.packages:
                continue
            try:
                result = list(implementation.function())
            except Exception as error:
                self._drop(name, f"{hook} raised {error!r}", traceback.format_exc())
                continue
            if strange := [item for item in result if not isinstance(item, kind)]:
                message = f"{hook} returned {strange[0]!r}, expected {kind.__name__}"
                self._drop(name, message, "")
                continue
            yield name, result

    def _drop(self, name: str, message: str, details: str) -> None:
        self.problems.append(Problem(name, self.packages.pop(name), message, details))
        self.manager.unregister(name=name)

    def _unknown(self, family: str, name: str, offers: Mapping[str, Offered]) -> str:
        lost = "".join(f"\nLeft out: {p.plugin} of {p.package}: {p.message}" for p in self.problems)
        return f"no {family} is called {name!r}; {closest(name, offers)}{lost}"


@cache
def installed() -> Plugins:
    """Everything installed in this environment, found once a process."""
    blocked = {n for n in os.environ.get("ORCHESTRATOR_BLOCK", "").split(",") if n}
    for name in blocked & _MERGED.keys():
        raise ConfigError(f"ORCHESTRATOR_BLOCK: {name} is part of {_MERGED[name]} now.")
    plugins = Plugins(_manager())
    for name in BUILT_IN:
        if name not in blocked:
            plugins.register(importlib.import_module(name), name, "orchestrator")
    for point in importlib.metadata.entry_points(group="orchestrator"):
        if point.name not in blocked:
            _load(plugins, point)
    return plugins


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("orchestrator")
    manager.add_hookspecs(hookspecs)
    return manager


def _load(plugins: Plugins, point: importlib.metadata.EntryPoint) -> None:
    package = point.dist.name if point.dist else "?"
    try:
        module = point.load()
    except (Exception, SystemExit) as error:
        plugins.problems.append(
            Problem(point.name, package, f"does not import: {error!r}", traceback.format_exc())
        )
        return
    plugins.register(module, point.name, package)


def _refuse_misspelt(manager: pluggy.PluginManager, module: Any, name: str) -> None:
    specs = {attribute for attribute in dir(hookspecs) if attribute.startswith("orchestrator_")}
    for attribute in dir(module):
        marked = manager.parse_hookimpl_opts(module, attribute)
        if marked is not None and attribute not in specs:
            raise PluginError(
                f"{name} implements {attribute}, which is no hook; {closest(attribute, specs)}"
            )


def _clash(first: Offered, second: Offered) -> str:
    return (
        f"two {first.family}s are called {first.offer.name!r}: {first.plugin} of {first.package} "
        f"and {second.plugin} of {second.package}. Uninstall one, or leave one out with "
        f"ORCHESTRATOR_BLOCK={second.plugin}."
    )


def _checked_options(factory: Any, options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options of the right names and types; ConfigError otherwise."""
    import pydantic

    signature = inspect.signature(factory)
    accepted = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    for key in options:
        if key not in accepted:
            raise ConfigError(f"{where}.{key}: unknown key; {closest(key, accepted)}")
    schema: dict[str, Any] = {
        name: (
            _annotation(factory, parameter),
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in accepted.items()
    }
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    model = pydantic.create_model("Options", __config__=config, **schema)
    try:
        filled = model.model_validate(options)
    except pydantic.ValidationError as error:
        lines = [f"{where}.{e['loc'][0]}: {e['msg']}, found {e['input']!r}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None
    return {name: getattr(filled, name) for name in options}


def _annotation(factory: Any, parameter: inspect.Parameter) -> Any:
    """A parameter's type; the return type is left alone, as it may exist for checkers only."""
    if parameter.annotation is parameter.empty:
        return Any
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function = factory.__init__ if inspect.isclass(factory) else factory
    return eval(parameter.annotation, function.__globals__)
