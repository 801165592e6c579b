"""Every hook has a test of its name here, and every offer a class and a YAML file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
import yaml

from orchestrator import (
    Compressor,
    Dataset,
    Device,
    Estimator,
    Genotype,
    Objective,
    Offer,
    Place,
    Record,
    Sampler,
    SearchSpace,
    Task,
    hookimpl,
    hookspecs,
    plugins,
)
from orchestrator.config import INSTANCES, check_config
from orchestrator.contracts._options import checked_options
from orchestrator.paths import config_dir
from orchestrator.records import Check

HOOKS = sorted(name for name in dir(hookspecs) if name.startswith("orchestrator_"))
# Devices whose YAML says where they are, and what a configuration has besides.
PLACED = ("here", "phone", "pi")
EMPTY: dict[str, Any] = {
    **{group: {"name": "x"} for group in ("space", "dataset", "estimator", "sampler")},
    "objective": {},
}
# Groups whose YAML lies under a key of its own, so that several may be chosen.


def _built_in(family: str) -> dict[str, plugins.Offered]:
    offered = plugins.installed().offered(family)
    return {name: entry for name, entry in offered.items() if entry.package == "orchestrator"}


# A place is chosen within a device, by the YAML files of those.
GROUPS = [family for family in plugins.FAMILIES if family != "place"]
OFFERED = [(family, name) for family in GROUPS for name in _built_in(family)]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_of_its_name(hook: str) -> None:
    assert f"test_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    assert getattr(hookspecs, hook).__doc__


def test_orchestrator_config_dirs() -> None:
    found = _registered(orchestrator_config_dirs=lambda: ["pkg://mine.conf"])
    assert found.config_dirs() == ["pkg://mine.conf"]


def test_orchestrator_search_spaces() -> None:
    _offers("space", SearchSpace)


def test_orchestrator_datasets() -> None:
    _offers("dataset", Dataset)


def test_orchestrator_tasks() -> None:
    _offers("task", Task)


def test_orchestrator_objectives() -> None:
    _offers("objective", Objective)


def test_orchestrator_compressors() -> None:
    _offers("compressor", Compressor)


def test_orchestrator_devices() -> None:
    _offers("device", Device)


def test_orchestrator_places() -> None:
    _offers("place", Place)


def test_orchestrator_estimators() -> None:
    _offers("estimator", Estimator)


def test_orchestrator_samplers() -> None:
    for name in _built_in("sampler"):
        sampler = plugins.installed().create("sampler", name, {}, given={"seed": 3})
        assert isinstance(sampler, optuna.samplers.BaseSampler | Sampler), name


def test_orchestrator_search_started() -> None:
    assert _heard("orchestrator_search_started", study="a study") == {"study": "a study"}


def test_orchestrator_candidate_finished() -> None:
    record = Record(0, Genotype("space", "small", {}), "feasible")
    arguments = {"study": "a study", "record": record}
    assert _heard("orchestrator_candidate_finished", **arguments) == arguments


def test_orchestrator_candidate_checked() -> None:
    record = Record(0, Genotype("space", "small", {}), "feasible")
    arguments = {"study": "a study", "check": Check(record, 0.8, 0.9, 2)}
    assert _heard("orchestrator_candidate_checked", **arguments) == arguments


def test_orchestrator_search_finished() -> None:
    arguments: dict[str, Any] = {"study": "a study", "front": []}
    assert _heard("orchestrator_search_finished", **arguments) == arguments


@pytest.mark.parametrize(("family", "name"), OFFERED)
def test_every_offer_has_a_yaml_of_its_name(family: str, name: str) -> None:
    path = config_dir() / family / f"{name}.yaml"
    assert path.is_file(), f"{family} {name!r} is offered and cannot be chosen"
    text = path.read_text()
    assert _own(family, text)["name"] == name
    package = f"# @package {family}.{name}\n"
    assert text.startswith(package) if family in INSTANCES else f"@package {family}" not in text


def _own(family: str, text: str) -> dict[str, Any]:
    """What a YAML file sets of its own group; one may choose other groups too."""
    found: dict[str, Any] = yaml.safe_load(text)
    return found[family] if text.startswith("# @package _global_") else found


@pytest.mark.parametrize("family", GROUPS)
def test_every_yaml_names_something_that_is_offered(family: str) -> None:
    written = {path.stem: path.read_text() for path in (config_dir() / family).glob("*.yaml")}
    placed = {name for name, text in written.items() if family == "device" and name in PLACED}
    assert written.keys() - placed == set(_built_in(family))
    assert {_own(family, written[name])["name"] for name in placed} <= set(_built_in(family))


def test_every_place_has_a_device_with_all_of_its_options() -> None:
    found = {}
    for name in PLACED:
        told: dict[str, Any] = yaml.safe_load(
            (config_dir() / "device" / f"{name}.yaml").read_text()
        )
        item = check_config({**EMPTY, "device": {name: told}}).device[name]
        place = plugins.installed().resolve("place", item.place.name)
        runtime = plugins.installed().resolve("device", item.name)
        found[item.place.name] = set(inspect.signature(place).parameters)
        assert told.keys() - {"name", "place"} - found[item.place.name] <= set(
            inspect.signature(runtime).parameters
        )
        assert found[item.place.name] <= told.keys()
    assert found.keys() == _built_in("place").keys()


@pytest.mark.parametrize(("family", "name"), OFFERED)
def test_every_yaml_sets_options_that_exist(family: str, name: str) -> None:
    options = _own(family, (config_dir() / family / f"{name}.yaml").read_text())
    own = {"role", "min", "max", "reference", "device"} if family == "objective" else set()
    # A value of ??? is the user's to give, and a sampler's seed the run's.
    chosen = {
        key: "given" if v == "???" else v for key, v in options.items() if key not in own | {"name"}
    }
    if missing := plugins.installed().offered(family)[name].missing:
        pytest.skip(f"needs {', '.join(missing)}")
    factory = plugins.installed().resolve(family, name)
    if "seed" in inspect.signature(factory).parameters and family == "sampler":
        chosen |= {"seed": 0}
    assert checked_options(factory, chosen, family).keys() == chosen.keys()


def _registered(**hooks: Callable[..., Any]) -> plugins.Plugins:
    found = plugins.Plugins(plugins._manager())
    namespace = {name: staticmethod(hookimpl(function)) for name, function in hooks.items()}
    found.register(type("Mine", (), namespace)(), "mine", "mine")
    assert found.problems == []
    return found


def _heard(hook: str, **arguments: Any) -> dict[str, Any]:
    """What a plugin that implements `hook` with all of its arguments is told."""
    told: dict[str, Any] = {}

    def search_started(study: Any) -> None:
        told.update(study=study)

    def candidate_finished(study: Any, record: Any) -> None:
        told.update(study=study, record=record)

    def candidate_checked(study: Any, check: Any) -> None:
        told.update(study=study, check=check)

    def search_finished(study: Any, front: Any) -> None:
        told.update(study=study, front=front)

    listeners = (search_started, candidate_finished, candidate_checked, search_finished)
    (listener,) = [one for one in listeners if hook == f"orchestrator_{one.__name__}"]
    assert _registered(**{hook: listener}).notify(hook, **arguments) == []
    return told


def _offers(family: str, contract: type) -> None:
    """What is built in, and what a plugin adds, is a class that fulfils the contract."""
    offered = _built_in(family)
    assert offered, f"no {family} is built in"
    for name, entry in offered.items():
        if entry.missing:  # a runtime that is an extra
            continue
        found = plugins.installed().resolve(family, name)
        assert issubclass(found, contract) and found.name == name
        assert entry.offer.summary
    mine: Sequence[Offer] = [Offer("mine", "collections:OrderedDict", "mine")]
    added = _registered(**{plugins.FAMILIES[family]: lambda: mine})
    assert added.offered(family)["mine"].offer == mine[0]
