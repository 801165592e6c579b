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
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import pluggy

from orchestrator import hookspecs
from orchestrator.contracts._fulfilment import CONTRACTS, contract_of, lacking, unlike
from orchestrator.contracts._options import checked_options
from orchestrator.contracts.offer import Offer
from orchestrator.errors import ConfigError, OrchestratorError, PluginError, closest
from orchestrator.faults.typed import faults

__all__ = [
    "BUILT_IN",
    "CONTRACTS",
    "FAMILIES",
    "Offered",
    "Plugins",
    "Problem",
    "installed",
    "version_of",
]

T = TypeVar("T")

BUILT_IN = (
    "orchestrator_spaces",
    "orchestrator_own",
    "orchestrator_classification",
    "orchestrator_segmentation",
    "orchestrator_datasets",
    "orchestrator_objectives",
    "orchestrator_proxies",
    "orchestrator_robustness",
    "orchestrator_distillation",
    "orchestrator_guided",
    "orchestrator_papers",
    "orchestrator_pruning",
    "orchestrator_qat",
    "orchestrator_onnxruntime",
    "orchestrator_openvino",
    "orchestrator_places",
    "orchestrator_torch",
    "orchestrator_executorch",
    "orchestrator_litert",
    "orchestrator.estimators",
    "orchestrator.search.samplers",
)

# Packages that were built in under another name.
_MERGED = {
    "orchestrator_devices": "orchestrator_onnxruntime",
    "orchestrator_quantization": "orchestrator_onnxruntime",
}

# Config group → hook that offers its members. A place is chosen within a device.
FAMILIES = {
    "space": "orchestrator_search_spaces",
    "dataset": "orchestrator_datasets",
    "task": "orchestrator_tasks",
    "objective": "orchestrator_objectives",
    "compressor": "orchestrator_compressors",
    "device": "orchestrator_devices",
    "place": "orchestrator_places",
    "estimator": "orchestrator_estimators",
    "sampler": "orchestrator_samplers",
}


# Where an instance's options stand in a configuration; by default below its family.
_WHERE = {
    "objective": "objective.{name}",
    "compressor": "compressor.{name}",
    "device": "device.{name}",
    "place": "device",
}


@dataclass(frozen=True)
class Problem:
    """A plugin that was left out, and why; where it `stays`, one offer of it was."""

    plugin: str
    package: str
    message: str
    details: str = ""
    stays: bool = False

    def __str__(self) -> str:
        kind = "partly left out" if self.stays else "left out"
        return f"{kind}: {self.plugin} of {self.package}: {self.message}"


@dataclass(frozen=True)
class Offered:
    """An offer and the plugin it came from."""

    family: str
    offer: Offer
    plugin: str
    package: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The distributions it needs that are not installed."""
        return tuple(name for name in self.offer.needs if not _is_installed(name))

    @property
    def advice(self) -> str:
        """What installs the missing ones."""
        return self.offer.hint or f"pip install {' '.join(self.missing)}"

    def __str__(self) -> str:
        return f"{self.family} {self.offer.name!r} of {self.package}"


@dataclass
class Plugins:
    """The registered plugins. Made by `installed`, or by hand in tests."""

    manager: pluggy.PluginManager
    problems: list[Problem] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    _clashes: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Plugins:
        """With no plugin yet, to be filled by hand."""
        return cls(_manager())

    def register(self, module: Any, name: str, package: str) -> None:
        """Add one plugin; what is wrong with it becomes a problem and it is left out."""
        if self.manager.has_plugin(name):
            message = f"the name {name!r} is taken by {self.packages.get(name, 'another plugin')}"
            self.problems.append(Problem(name, package, message))
            return
        try:
            self.manager.register(module, name=name)
            _refuse_newer(module, name)
            _refuse_misspelt(self.manager, module, name)
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self.problems.append(Problem(name, package, str(error)))
            return
        self.packages[name] = package

    def offered(self, family: str) -> dict[str, Offered]:
        """Name → offer of a config group, in the order in which plugins were registered.

        The first device is what is measured on where nobody says which. Of two offers of one name
        neither is there: whoever asks for that name gets a PluginError, others do not, and what
        else the two plugins offer stands.
        """
        found: dict[str, Offered] = {}
        for plugin, offers in reversed(list(self._results(FAMILIES[family], Offer))):
            for offer in offers:
                entry = Offered(family, offer, plugin, self.packages[plugin])
                if offer.name in found:
                    self._note_clash(found[offer.name], entry)
                found.setdefault(offer.name, entry)
        return {name: entry for name, entry in found.items() if (family, name) not in self._clashes}

    def resolve(self, family: str, name: str) -> Any:
        """The class behind an offered name; raises PluginError, saying what there is.

        Also where the class lacks a distribution that it needs, does not load, or is another
        thing than its family's contract says.
        """
        entry = self._entry(family, name)
        if entry.missing:
            raise PluginError(
                f"{entry} needs {' and '.join(entry.missing)}, not installed here: {entry.advice}"
            )
        module, _, attribute = entry.offer.target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            hint = f" {entry.offer.hint}" if entry.offer.hint else ""
            raise PluginError(f"{entry} does not load: {error!r}.{hint}") from error
        if told := unlike(family, found):
            raise self.broken(family, name, told)
        return found

    def broken(self, family: str, name: str, what: str) -> PluginError:
        """What is to be raised where an offer is not what its family's contract says.

        Names the package, the class and the contract.
        """
        entry = self._entry(family, name)
        return PluginError(
            f"{entry} ({entry.offer.target}) breaks the contract {contract_of(family)}: {what}. "
            "Report it to whoever made the package, or leave it out."
        )

    @contextmanager
    def promising(self, family: str, name: str, what: str) -> Iterator[None]:
        """Whatever an offer raises that nobody meant to raise is a broken contract."""
        try:
            yield
        except OrchestratorError:
            raise
        except Exception as error:
            raise self.broken(family, name, f"{what} raised {error!r}") from error

    def each(self, family: str, ask: Callable[[str], T]) -> dict[str, T]:
        """What every offer of a family says, by name; one that breaks is among the problems."""
        told: dict[str, T] = {}
        for name, entry in self.offered(family).items():
            try:
                with self.promising(family, name, "what was asked of it"):
                    told[name] = ask(name)
            except PluginError as error:
                problem = Problem(entry.plugin, entry.package, str(error), stays=True)
                self.problems += [problem] if problem not in self.problems else []
        return told

    def create(
        self,
        family: str,
        name: str,
        options: Mapping[str, Any],
        *,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """An instance, its options checked against the constructor's types.

        What is `given` is not the user's: it is passed on where the constructor takes it. Raises
        ConfigError for options and PluginError for what the plugin does wrong.
        """
        factory, entry = self.resolve(family, name), self._entry(family, name)
        where = _WHERE.get(family, family).format(name=name)
        try:
            taken = inspect.signature(factory).parameters
            ours = {key: value for key, value in (given or {}).items() if key in taken}
            made = factory(**checked_options(factory, {**options, **ours}, where))
        except PluginError as error:
            raise PluginError(f"{entry}: {error}") from error
        except OrchestratorError:
            raise
        except OSError as error:  # a path of the user's that is none
            told = f"{error.filename} cannot be used" if error.filename else str(entry)
            raise ConfigError(f"{where}: {told}: {error.strerror or error}.") from error
        except Exception as error:
            raise PluginError(f"{entry}: its constructor raised {error!r}.") from error
        if told := lacking(family, made):
            raise self.broken(family, name, told)
        return made

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

    def _note_clash(self, first: Offered, second: Offered) -> None:
        """Once, and among the problems."""
        key = first.family, first.offer.name
        if key not in self._clashes:
            self._clashes[key] = _clash(first, second)
            stranger = _stranger(first, second)
            told = self._clashes[key]
            self.problems.append(Problem(stranger.plugin, stranger.package, told, stays=True))

    def _entry(self, family: str, name: str) -> Offered:
        offers = self.offered(family)
        if (family, name) in self._clashes:
            raise PluginError(self._clashes[family, name])
        if name not in offers:
            raise PluginError(self._unknown(family, name, offers))
        return offers[name]

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
            if message := _strange(result, kind):
                self._drop(name, f"{hook} returned {message}", "")
                continue
            yield name, result

    def _drop(self, name: str, message: str, details: str) -> None:
        self.problems.append(Problem(name, self.packages.pop(name), message, details))
        self.manager.unregister(name=name)

    def _unknown(self, family: str, name: str, offers: Mapping[str, Offered]) -> str:
        lost = "".join(f"\n{problem}" for problem in self.problems)
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


def version_of(package: str) -> str:
    """The version of an installed distribution; "0+unknown" for a source tree never installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


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


def _refuse_newer(module: Any, name: str) -> None:
    """Raise PluginError for a plugin that asks for hooks and contracts that are not here yet."""
    wanted = getattr(module, "ORCHESTRATOR_API", 1)
    if not isinstance(wanted, int):
        raise PluginError(f"ORCHESTRATOR_API is {wanted!r}, expected a number such as 1")
    if wanted > hookspecs.API:
        raise PluginError(
            f"{name} asks for API {wanted}, this Orchestrator has {hookspecs.API}; "
            "pip install --upgrade pareto-orchestrator"
        )


def _refuse_misspelt(manager: pluggy.PluginManager, module: Any, name: str) -> None:
    """Raise PluginError for a hook that would never be called, or not as it is meant."""
    specs = {attribute for attribute in dir(hookspecs) if attribute.startswith("orchestrator_")}
    for attribute in dir(module):
        marked = manager.parse_hookimpl_opts(module, attribute)
        if marked is None:
            continue
        if attribute not in specs:
            raise PluginError(
                f"{name} implements {attribute}, which is no hook; {closest(attribute, specs)}"
            )
        if marked["wrapper"] or marked["hookwrapper"]:
            raise PluginError(
                f"{name} implements {attribute} as a wrapper; each plugin is called on its own "
                "here, so there is nothing to wrap. Use a plain @hookimpl"
            )


def _strange(result: list[Any], kind: type) -> str:
    """What of a hook's result is not what the hook is for; empty where all is."""
    for item in result:
        if not isinstance(item, kind):
            return f"{item!r}, expected {kind.__name__}"
        if isinstance(item, Offer) and (found := faults(Offer, vars(item), strict=False)):
            return f"{item!r}: {found[0]}"
    return ""


def _is_installed(distribution: str) -> bool:
    """Whether it is there; a version that a need may ask for is left to its own installer."""
    name = re.split(r"[^\w.-]", distribution, maxsplit=1)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _stranger(first: Offered, second: Offered) -> Offered:
    """Of two that clash the one that may be left out without losing what is built in."""
    return first if second.plugin in BUILT_IN else second


def _clash(first: Offered, second: Offered) -> str:
    return (
        f"two {first.family}s are called {first.offer.name!r}: {first.plugin} of {first.package} "
        f"and {second.plugin} of {second.package}. Uninstall one, or leave one out with "
        f"ORCHESTRATOR_BLOCK={_stranger(first, second).plugin}."
    )
