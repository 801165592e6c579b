"""Finding plugins: whatever one of them does, it is named, left out, and the rest works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from orchestrator import API, Estimate, Estimator, Offer, hookimpl, plugins
from orchestrator.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from pathlib import Path as Nowhere

HEAD = "from orchestrator import Offer, hookimpl\n"
GOOD = (
    HEAD + "@hookimpl\ndef orchestrator_objectives():\n    return [Offer('good', 'x:Y', 'fine')]\n"
)

Install = Callable[..., plugins.Plugins]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Write distributions (entry point → source) where Python finds them, and look for plugins."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(**sources: str) -> plugins.Plugins:
        for name, source in {**sources, "good": GOOD}.items():
            info = tmp_path / f"dist_{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1\n"
            )
            (info / "entry_points.txt").write_text(f"[orchestrator]\n{name} = plugin_{name}\n")
            (tmp_path / f"plugin_{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)
        return plugins.installed.__wrapped__()

    return add


def _only_problem(found: plugins.Plugins) -> plugins.Problem:
    """The one plugin that was left out; the good one and the built-in ones must be there."""
    assert {"good", "accuracy"} <= set(found.offered("objective"))
    (problem,) = found.problems
    return problem


def test_everything_built_in_loads_without_a_problem() -> None:
    found = plugins.installed.__wrapped__()
    assert all(found.offered(family) for family in plugins.FAMILIES)
    assert found.problems == []


def test_a_plugin_that_does_not_import_is_left_out(install: Install) -> None:
    problem = _only_problem(install(lost="import a_module_that_nobody_has\n"))
    assert (problem.plugin, problem.package) == ("lost", "dist-lost")
    assert "a_module_that_nobody_has" in problem.message and "Traceback" in problem.details


def test_a_plugin_with_a_syntax_error_is_left_out(install: Install) -> None:
    assert "SyntaxError" in _only_problem(install(typo="def (:\n")).message


def test_a_plugin_whose_hook_raises_is_left_out(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_objectives():\n    raise ValueError('boo')\n"
    problem = _only_problem(install(raising=source))
    assert problem.message == "orchestrator_objectives raised ValueError('boo')"


def test_a_plugin_whose_hook_returns_nothing_is_left_out(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_objectives():\n    pass\n"
    assert "orchestrator_objectives" in _only_problem(install(silent=source)).message


def test_a_plugin_that_offers_something_else_than_offers_is_left_out(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_objectives():\n    return ['accuracy']\n"
    assert "Offer" in _only_problem(install(loose=source)).message


def test_a_misspelt_hook_is_told_with_the_right_spelling(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_objectifs():\n    return []\n"
    problem = _only_problem(install(misspelt=source))
    assert "did you mean 'orchestrator_objectives'?" in problem.message


def test_a_hook_with_a_wrong_argument_is_left_out(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_search_started(search):\n    pass\n"
    problem = _only_problem(install(wrong=source))
    assert problem.plugin == "wrong" and "search" in problem.message


def test_two_offers_of_one_name_are_an_error_that_names_both_packages(install: Install) -> None:
    found = install(twin=GOOD)
    assert "good" not in found.offered("objective")
    with pytest.raises(PluginError, match="two objectives are called 'good'") as caught:
        found.resolve("objective", "good")
    assert "dist-good" in str(caught.value) and "dist-twin" in str(caught.value)
    assert [problem.message for problem in found.problems] == [str(caught.value)]


def test_who_takes_a_built_in_name_is_the_one_to_leave_out(install: Install) -> None:
    offer = GOOD.replace("'good'", "'params'")
    found = install(clash=offer)
    assert "params" not in found.offered("objective")
    with pytest.raises(PluginError, match=r"ORCHESTRATOR_BLOCK=clash\.$"):
        found.resolve("objective", "params")
    assert found.resolve("objective", "macs").name == "macs"


def test_of_a_plugin_that_clashes_only_the_name_is_lost(install: Install) -> None:
    both = GOOD.replace("[Offer('good'", "[Offer('mine', 'x:Y', 'own'), Offer('params'")
    found = install(clash=both, lost="import a_module_that_nobody_has\n")
    assert "mine" in found.offered("objective") and "params" not in found.offered("objective")
    told = {problem.plugin: problem for problem in found.problems}
    assert told["clash"].stays and not told["lost"].stays
    assert str(told["clash"]).startswith("partly left out: clash of dist-clash: two objectives")
    assert str(told["lost"]).startswith("left out: lost of dist-lost: does not import")


def test_a_plugin_that_takes_a_built_in_name_leaves_the_built_in_there(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef orchestrator_config_dirs():\n    return []\n"
    problem = _only_problem(install(orchestrator_objectives=source))
    assert problem.package == "dist-orchestrator_objectives"


def test_a_blocked_plugin_is_not_even_imported(install: Install, monkeypatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_BLOCK", "lost,orchestrator_pruning")
    found = install(lost="raise SystemExit('imported')\n")
    assert found.problems == []
    assert "pruning" not in found.offered("compressor")
    assert "good" in found.offered("objective")


def test_an_unknown_name_is_answered_with_a_guess_and_with_what_was_left_out(
    install: Install,
) -> None:
    found = install(lost="import a_module_that_nobody_has\n")
    with pytest.raises(PluginError, match="did you mean 'accuracy'") as caught:
        found.resolve("objective", "acuracy")
    assert "left out: lost of dist-lost" in str(caught.value)


def test_an_offer_whose_class_is_missing_says_what_to_install() -> None:
    offer = Offer("far", "nowhere:Far", "not here", hint="pip install far")
    found = _with(orchestrator_devices=lambda: [offer])
    with pytest.raises(PluginError, match=r"'far' of mine does not load.*pip install far"):
        found.resolve("device", "far")


def test_options_are_checked_against_the_constructor() -> None:
    found = _offering("box")
    assert found.create("estimator", "box", {"size": 3}).size == 3
    with pytest.raises(ConfigError, match="did you mean 'size'"):
        found.create("estimator", "box", {"sise": 3})
    with pytest.raises(ConfigError, match="found 'large'"):
        found.create("estimator", "box", {"size": "large"})


def test_what_is_given_is_passed_where_it_is_taken_and_is_no_option_else() -> None:
    found = _offering("box")
    assert found.create("estimator", "box", {}, given={"size": 4, "colour": "red"}).size == 4


def test_an_offer_that_lacks_a_distribution_says_what_to_install() -> None:
    found = _offering("box", needs=("pluggy", "nobody-has-this", "nor.this>=2"))
    assert found.offered("estimator")["box"].missing == ("nobody-has-this", "nor.this>=2")
    wanted = r"'box' of mine needs nobody-has-this and nor\.this>=2.*: pip install nobody-has-this"
    with pytest.raises(PluginError, match=wanted):
        found.create("estimator", "box", {})
    hinted = _offering("box", needs=("nobody-has-this",), hint="get it from the shop")
    with pytest.raises(PluginError, match="get it from the shop"):
        hinted.resolve("estimator", "box")


def test_an_option_typed_for_checkers_only_is_named() -> None:
    wanted = r"estimator 'typed' of mine: option 'path' of test_plugins\.Typed is typed 'Nowhere'"
    with pytest.raises(PluginError, match=wanted):
        _offering("typed").create("estimator", "typed", {"path": 3})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "stray",
            "estimator 'stray' of mine .*breaks the contract orchestrator.Estimator: .*Stray",
        ),
        ("box_of", "expected a class of orchestrator.Estimator"),
        ("raising", r"estimator 'raising' of mine: its constructor raised ValueError\('boo'\)"),
        ("abstract", "estimator 'abstract' of mine .*lacks its methods estimate"),
    ],
)
def test_what_breaks_its_contract_is_named_with_package_and_contract(
    name: str, wanted: str
) -> None:
    with pytest.raises(PluginError, match=wanted):
        _offering(name).create("estimator", name, {})


def test_what_a_constructor_says_of_its_options_is_told_as_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^estimator\.size: too large$"):
        _offering("choosy").create("estimator", "choosy", {})


def test_a_sampler_that_is_none_is_named() -> None:
    offer = Offer("box", f"{__name__}:Box_of", "")
    found = _with(orchestrator_samplers=lambda: [offer])
    with pytest.raises(PluginError, match=r"sampler 'box' of mine .*\.Sampler: .*Box"):
        found.create("sampler", "box", {})


def test_a_plugin_that_asks_for_a_newer_api_is_left_out_with_the_reason(install: Install) -> None:
    problem = _only_problem(install(newer=f"{GOOD}\nORCHESTRATOR_API = {API + 1}\n"))
    assert f"asks for API {API + 1}, this Orchestrator has {API}" in problem.message


def test_a_plugin_that_asks_for_this_api_or_an_older_one_is_there(install: Install) -> None:
    mine = GOOD.replace("good", "mine")
    found = install(mine=f"{mine}ORCHESTRATOR_API = {API}\n")
    assert "mine" in found.offered("objective") and found.problems == []


@pytest.mark.parametrize("kind", ["wrapper", "hookwrapper"])
def test_a_wrapper_is_refused_by_name(install: Install, kind: str) -> None:
    source = f"@hookimpl({kind}=True)\ndef orchestrator_search_finished(study):\n    yield\n"
    problem = _only_problem(install(wrapping=HEAD + source))
    assert "wrapping implements orchestrator_search_finished as a wrapper" in problem.message


def test_every_group_has_a_contract() -> None:
    assert plugins.CONTRACTS.keys() == plugins.FAMILIES.keys()


def test_what_is_installed_is_looked_up_at_the_edges_only() -> None:
    """Commands, the story, workers, suites; and what a notebook calls without plugins."""
    root = Path(plugins.__file__).parent
    edges = {"cli", "testing", "study/story.py", "search/worker.py", "plugins.py"}
    edges |= {"bundle/rebuilding.py", "bundle/verifying.py", "candidate/networks.py"}
    users = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "installed()" in path.read_text()
    }
    assert {user for user in users if not edges & {user, user.partition("/")[0]}} == set()


def test_an_observer_that_raises_does_not_stop_the_next() -> None:
    heard: list[str] = []

    def raising(study: str) -> None:
        raise RuntimeError("boo")

    def listening(study: str) -> None:
        heard.append(study)

    found = _with(orchestrator_search_started=raising)
    found.register(_module(orchestrator_search_started=listening), "second", "other")
    (problem,) = found.notify("orchestrator_search_started", study="a study")
    assert heard == ["a study"] and problem.plugin == "mine" and "boo" in problem.message


class Box(Estimator):
    """What is made in a test."""

    name = "box"

    def __init__(self, *, size: int = 1) -> None:
        self.size = size

    def estimate(self, network: object, genotype: object, context: object) -> Estimate:
        raise NotImplementedError


class Typed(Box):
    def __init__(self, *, path: Nowhere) -> None:
        pass


class Raising(Box):
    def __init__(self) -> None:
        raise ValueError("boo")


class Choosy(Box):
    def __init__(self) -> None:
        raise ConfigError("estimator.size: too large")


class Abstract(Estimator):
    name = "abstract"


class Stray:
    pass


def Box_of() -> Box:
    return Box()


def _offering(name: str, **more: object) -> plugins.Plugins:
    """An estimator of this file, offered."""
    offer = Offer(name, f"{__name__}:{name.capitalize()}", "for this test", **more)
    return _with(orchestrator_estimators=lambda: [offer])


def _module(**hooks: Callable[..., object]) -> ModuleType:
    module = ModuleType("made_by_hand")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def _with(**hooks: Callable[..., object]) -> plugins.Plugins:
    """One plugin and nothing else."""
    found = plugins.Plugins(plugins._manager())
    found.register(_module(**hooks), "mine", "mine")
    assert found.problems == []
    return found


def test_looking_for_plugins_imports_nothing_heavy() -> None:
    heavy = "torch ray optuna mlflow onnx onnxruntime plotly"
    code = (
        "import sys; from orchestrator.plugins import FAMILIES, installed\n"
        "[installed().offered(family) for family in FAMILIES]\n"
        f"found = [name for name in '{heavy}'.split() if name in sys.modules]\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_package_that_was_merged_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_BLOCK", "orchestrator_quantization")
    plugins.installed.cache_clear()
    try:
        with pytest.raises(ConfigError, match="is part of orchestrator_onnxruntime now"):
            plugins.installed()
    finally:
        plugins.installed.cache_clear()
