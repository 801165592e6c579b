"""The command line: commands by argparse, a search by Hydra. The only room with Hydra."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, Interrupted, OrchestratorError, closest
from orchestrator.paths import config_dir, run_dir

if TYPE_CHECKING:
    from orchestrator.config import StudyConfig

__all__ = ["compose", "main"]

_CONFIG_NAME = "config"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command or a search; exits with 0, 2 for what the user can mend, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _quieten()
    try:
        _dispatch(arguments)
    except OrchestratorError as error:
        _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        _fail("stopped.", Interrupted.exit_status)


def _dispatch(arguments: list[str]) -> None:
    if arguments and arguments[0] in _COMMANDS:
        _COMMANDS[arguments[0]](arguments[1:])
    elif not arguments:
        _hydra(["--help"])
    elif any(argument.startswith("-") for argument in arguments):
        _hydra(arguments)
    elif "=" not in arguments[0]:
        raise ConfigError(
            f"no command is called {arguments[0]!r}; {closest(arguments[0], _COMMANDS)} "
            "A search is started by +search=NAME."
        )
    else:
        _search(arguments)


def _search(overrides: list[str]) -> None:
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import run

    config = compose(overrides)
    folder = Path(config.run.dir) if config.run.dir else run_dir(config.space.name, datetime.now())
    _told(lambda viewer: run(config, folder, overrides, viewer), Terminal())


def compose(overrides: Sequence[str]) -> StudyConfig:
    """The checked configuration of a command line; raises ConfigError naming what is valid."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from orchestrator.config import check_config

    _register_search_path()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            composed = hydra_compose(_CONFIG_NAME, overrides=list(overrides))
            data = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explained(error, overrides)) from None
    assert isinstance(data, dict)
    if data.get("space") is None:
        names = sorted(path.stem for path in (config_dir() / "search").glob("*.yaml"))
        raise ConfigError(
            f"nothing says what to search. Add +search=NAME, for example one of {', '.join(names)}."
        )
    return check_config({str(key): value for key, value in data.items()})


def _explained(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's message, and for an unknown key the keys that are valid there."""
    text = str(error).strip()
    if error.__cause__ is not None and str(error.__cause__).strip() not in text:
        text = f"{text}\n{error.__cause__}"
    key = re.search(r"full_key: (\S+)", text)
    if "not in struct" in text and key:
        known = _known_keys(key[1], overrides)
        last = key[1].rpartition(".")[2]
        return f"{key[1]}: unknown key; {closest(last, known)}"
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        name = getattr(error, "full_key", None) or missing[1]
        return f"{name}: must be given, for example {name}=VALUE."
    return text.partition("\nConfig search path")[0].strip()


def _known_keys(key: str, overrides: Sequence[str]) -> list[str]:
    from hydra import compose as hydra_compose
    from omegaconf import DictConfig, OmegaConf

    unknown = f"{key}="  # a key without a group looks like a group, and is what is wrong
    groups = [item for item in overrides if "." not in item.partition("=")[0]]
    groups = [item for item in groups if not item.startswith(unknown)]
    parent: Any = hydra_compose(_CONFIG_NAME, overrides=groups)
    for part in key.split(".")[:-1]:
        parent = OmegaConf.select(parent, part) if isinstance(parent, DictConfig) else None
    return [str(name) for name in parent] if isinstance(parent, DictConfig) else []


def _hydra(arguments: list[str]) -> None:
    """Hydra's own flags: --help, --cfg, --info, --multirun, --config-dir and completion."""
    import hydra

    _register_search_path()

    def task(composed: Any) -> None:
        from omegaconf import OmegaConf

        from orchestrator.config import check_config

        _run_composed(check_config(OmegaConf.to_container(composed, resolve=True)))  # type: ignore[arg-type]

    sys.argv = [sys.argv[0], *arguments]
    decorated = hydra.main(str(config_dir()), _CONFIG_NAME, version_base="1.3")(task)
    try:
        decorated()
    except SystemExit as end:
        # Hydra ends with 1 for what it refuses in a configuration; ours is 2 for that.
        raise SystemExit(2 if end.code == 1 else end.code) from None


def _run_composed(config: StudyConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import run

    overrides = list(HydraConfig.get().overrides.task)
    folder = Path(config.run.dir) if config.run.dir else run_dir(config.space.name, datetime.now())
    try:
        _told(lambda viewer: run(config, folder, overrides, viewer), Terminal())
    except OrchestratorError as error:
        _fail(str(error), error.exit_status)


def _register_search_path() -> None:
    """Let +search=… find YAML of plugins. Registered here, as namespace plugins are not always
    found in editable installs."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins as HydraPlugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class PluginConfigs(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            from orchestrator.plugins import installed

            for path in installed().config_dirs():
                search_path.append("orchestrator-plugin", path)

    HydraPlugins.instance().register(PluginConfigs)


def _told(story: Callable[[Any], Any], viewer: Any) -> None:
    """Run a story and name its folder in the last line."""
    try:
        study = story(viewer)
    finally:
        viewer.close()
    if study.config.tracking.enabled:
        from orchestrator.study import tracking_store
        from orchestrator.tracking import ui_hint

        print(f"MLflow: {ui_hint(study.config.tracking, tracking_store(study.folder))}")
    print(f"Run folder: {study.folder}")


def _plan(arguments: list[str]) -> None:
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import plan_of

    if any(argument.startswith("-") for argument in arguments):
        parser = _parser("plan", "checks a search and forecasts its cost; starts nothing")
        parser.add_argument("override", nargs="+", help="+search=NAME and any group.key=value")
        parser.parse_args(arguments)
    config = compose(arguments)
    Terminal().plan(config, plan_of(config))


def _resume(arguments: list[str]) -> None:
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import resume

    folder = _folder_parser("resume", "goes on where a search stopped").parse_args(arguments).folder
    _told(lambda viewer: resume(folder, viewer), Terminal())


def _report(arguments: list[str]) -> None:
    from orchestrator.study import load, write_report

    folder = _folder_parser("report", "rebuilds a report").parse_args(arguments).folder
    print(write_report(load(folder)))


def _pick(arguments: list[str]) -> None:
    from orchestrator.cli.inspecting import pick

    parser = _folder_parser("pick", "answers a new budget from a finished search")
    parser.add_argument("--max", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--min", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    pick(given.folder, _limits(given.max), _limits(given.min), as_json=given.json)


def _rebuild(arguments: list[str]) -> None:
    from orchestrator.cli.inspecting import rebuild_bundle

    parser = _folder_parser("rebuild", "a finalist's folder back into a network, and checks it")
    rebuild_bundle(parser.parse_args(arguments).folder)


def _measure(arguments: list[str]) -> None:
    from orchestrator.cli.inspecting import measure_target

    parser = _parser("measure", "measures a bundle or a published network on a device")
    parser.add_argument("target", help="a finalist's folder, or FAMILY/MEMBER as `networks` lists")
    parser.add_argument("--device", help="as `plugins` lists; by default the first that fits")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    measure_target(given.target, given.device, as_json=given.json)


def _networks(arguments: list[str]) -> None:
    from orchestrator.cli.inspecting import list_networks

    parser = _parser("networks", "counts published networks, beside what was published")
    parser.add_argument("part", nargs="*", help="of a name, such as mobilenet; all without one")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    list_networks(given.part, as_json=given.json)


def _new_plugin(arguments: list[str]) -> None:
    from orchestrator.cli.new_plugin import write_plugin

    parser = _parser("new-plugin", "writes a working third-party package with tests")
    parser.add_argument("name", help="lower-case letters and digits")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to put it")
    given = parser.parse_args(arguments)
    folder = write_plugin(given.name, given.folder)
    print(
        f"{folder}: try pip install -e {folder}, then python -m orchestrator +search={given.name}"
    )


def _plugins(arguments: list[str]) -> None:
    from orchestrator.plugins import FAMILIES, installed

    parser = _parser("plugins", "lists what is installed, and what failed to load and why")
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args(arguments).json
    found = installed()
    rows = [
        {
            "family": family,
            "name": name,
            "summary": entry.offer.summary,
            "plugin": entry.plugin,
            "package": entry.package,
            "needs": list(entry.offer.needs),
            "missing": list(entry.missing),
            "advice": entry.advice if entry.missing else "",
        }
        for family in FAMILIES
        for name, entry in found.offered(family).items()
    ]
    problems = [
        {"plugin": p.plugin, "package": p.package, "message": p.message, "details": p.details}
        for p in found.problems
    ]
    if as_json:
        print(json.dumps({"offers": rows, "problems": problems}, indent=1))
        return
    for row in rows:
        print(
            f"{row['family']:<11}{row['name']:<18}{row['package']:<24}{row['summary']}{_needs(row)}"
        )
    for problem in problems:
        print(f"left out: {problem['plugin']} of {problem['package']}: {problem['message']}")


def _needs(row: Mapping[str, Any]) -> str:
    """What an offer lacks, and how to get it; else what it is known to need."""
    if row["missing"]:
        return f" Lacks {', '.join(row['missing'])}: {row['advice']}"
    return f" Needs {', '.join(row['needs'])}." if row["needs"] else ""


_COMMANDS: Mapping[str, Callable[[list[str]], None]] = {
    "plan": _plan,
    "resume": _resume,
    "report": _report,
    "pick": _pick,
    "rebuild": _rebuild,
    "measure": _measure,
    "networks": _networks,
    "plugins": _plugins,
    "new-plugin": _new_plugin,
}


def _parser(command: str, does: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"python -m orchestrator {command}", description=does)


def _folder_parser(command: str, does: str) -> argparse.ArgumentParser:
    parser = _parser(command, does)
    parser.add_argument("folder", type=Path)
    return parser


def _limits(pairs: Sequence[str]) -> dict[str, float]:
    limits = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            raise ConfigError(
                f"expected NAME=VALUE such as latency_ms=20, found {pair!r}."
            ) from None
    return limits


def _quieten() -> None:
    """No library's warning noise, and no OpenMP threads that spin (before torch is imported)."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)


def _fail(text: str, status: int) -> None:
    print(f"orchestrator: {text}", file=sys.stderr)
    raise SystemExit(status)
