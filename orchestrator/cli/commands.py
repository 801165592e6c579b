"""The command line: every command, and a search by its overrides."""

from __future__ import annotations

import argparse
import atexit
import faulthandler
import gc
import json
import logging
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.composing import CommandLine, compose, jobs, read_command_line, show
from orchestrator.cli.encoding import write_anything
from orchestrator.cli.endings import ending
from orchestrator.errors import (
    ConfigError,
    RunError,
    closest,
    plural,
)
from orchestrator.faults.printable import printable
from orchestrator.paths import run_dir
from orchestrator.search.stopping import Stopping

if TYPE_CHECKING:
    from orchestrator.config import StudyConfig
    from orchestrator.plan.planning import Plan

__all__ = ["compose", "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command or a search; exits with 0, 2 for what the user can mend, 130 for a stop.

    Ctrl-C, SIGTERM and, but under nohup, a closed terminal stop it wherever it is.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _quieten()
    write_anything(sys.stdout, sys.stderr)
    try:
        with Stopping():
            _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does; nor is there more to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Exception, KeyboardInterrupt) as error:
        told = ending(error)
        if told is None:
            raise
        _fail(*told)


def _dispatch(arguments: list[str]) -> None:
    if arguments and arguments[0] in _COMMANDS:
        _COMMANDS[arguments[0]](arguments[1:])
        return
    line = read_command_line(arguments)
    if line.version:
        from orchestrator import __version__

        print(f"orchestrator {__version__}")
    elif line.shows or not arguments:
        show(replace(line, shows=line.shows or ("--help",)))
    elif line.overrides and "=" not in line.overrides[0] and line.overrides[0][0] not in "~+":
        name = line.overrides[0]
        raise ConfigError(
            f"no command is called {name!r}; {closest(name, _COMMANDS)} "
            "A search is started by +search=NAME."
        )
    else:
        _search(line)


def _search(line: CommandLine) -> None:
    """One search, or several one after another; all are checked before the first begins.

    What is heavy is imported after the check, so that a mistyped word is told at once.
    """
    asked = [(words, compose(words, line)) for words in jobs(line)]
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import run

    for overrides, config in asked:
        words = replace(line, overrides=tuple(overrides)).words
        folder = Path(config.run.dir or run_dir(config.space.name, datetime.now())).expanduser()
        _told(partial(run, config, folder, words), Terminal())


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
    if {"--help", "-h"} & set(arguments):
        parser = _parser("plan", "checks a search and forecasts its cost; starts nothing")
        told = "+search=NAME and any group.key=value; or a run's folder, for what is left of it"
        parser.add_argument("override", nargs="+", help=told)
        parser.parse_args(arguments)
    if len(arguments) == 1 and Path(arguments[0]).is_dir():
        from orchestrator.cli.inspecting import plan_of_run

        plan_of_run(Path(arguments[0]))
        return
    line = read_command_line(arguments)
    configs = [compose(overrides, line) for overrides in jobs(line)]
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import plan_of

    for config in configs:
        plan = plan_of(config)
        Terminal().plan(config, plan)
        if plan.data is not None:
            print(f"Some of the images, as networks see them: {_sheet(config, plan)}")


def _sheet(config: StudyConfig, plan: Plan) -> str:
    """A page of the images that are there, in the user's cache: its path, or why there is none."""
    from orchestrator.data import DataSummary, data_page
    from orchestrator.files import write_whole
    from orchestrator.paths import cache_dir

    assert plan.data is not None
    name = f"{config.space.name}-{config.dataset.name}"
    path = cache_dir() / "plans" / f"{name}.html"
    title = f"{config.space.name} on {config.dataset.name}"
    try:
        write_whole(path, data_page(title, DataSummary.from_json(plan.data), plan.strips))
    except RunError as error:  # the plan is none the worse for it
        return f"not shown. {error}"
    return str(path)


def _table(arguments: list[str]) -> None:
    parser = _parser("table", "measures a space's blocks on a device, for latency without it")
    parser.add_argument("override", nargs="+", help="+search=NAME and any group.key=value")
    parser.add_argument("--blocks", type=_count, default=60, help="networks that give blocks")
    parser.add_argument("--fit", type=_count, default=24, help="networks measured to fit on")
    parser.add_argument("--held-out", type=_count, default=12, help="networks measured to judge by")
    parser.add_argument("--to", type=Path, help="the file; by default in the user's cache")
    given, more = parser.parse_known_args(arguments)
    line = read_command_line([*given.override, *more])
    configs = [compose(overrides, line) for overrides in jobs(line)]
    from orchestrator.cli.tables import build_tables

    build_tables(configs, (given.blocks, given.fit, given.held_out), given.to)


def _resume(arguments: list[str]) -> None:
    from orchestrator.cli.terminal import Terminal
    from orchestrator.study import resume

    parser = _folder_parser("resume", "goes on where a search stopped")
    where = "where images or devices are now: dataset.root=PATH, device.NAME.host=HOST"
    parser.add_argument("override", nargs="*", help=where)
    given = parser.parse_args(arguments)
    _told(lambda viewer: resume(given.folder, viewer, given.override), Terminal())


def _report(arguments: list[str]) -> None:
    from orchestrator.study import load, write_report

    folder = _folder_parser("report", "rebuilds a report").parse_args(arguments).folder
    print(write_report(load(folder)))


def _merge(arguments: list[str]) -> None:
    from orchestrator.plugins import installed
    from orchestrator.study import load, merge, write_report

    parser = _parser("merge", "makes one run of two halves of a search, run on two machines")
    parser.add_argument("run", nargs=2, type=Path, help="a run's folder; the first's numbers stay")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="a new folder")
    given = parser.parse_args(arguments)
    first, second = given.run
    numbers = merge(first, second, given.into, installed())
    study = load(given.into)
    print(f"{plural(len(numbers), 'candidate')} of {second}: merged.json has their numbers.")
    print(study.summary)
    print(f"Report: {write_report(study)}")
    print(f"Run folder: {given.into}")


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
    runs = "also run files that are programs, as torch's are: of a folder that you trust"
    parser.add_argument("--programs", action="store_true", help=runs)
    given = parser.parse_args(arguments)
    rebuild_bundle(given.folder, programs=given.programs)


def _measure(arguments: list[str]) -> None:
    from orchestrator.cli.composing import compose_devices
    from orchestrator.plugins import installed

    parser = _parser("measure", "measures bundles and published networks, on one device or several")
    target = "a finalist's folder, FAMILY/MEMBER as `networks` lists, or device.NAME.option=value"
    parser.add_argument("target", nargs="+", help=target)
    device = "as device= names them, any number of times; by default the first that fits"
    parser.add_argument("--device", action="append", default=[], metavar="NAME", help=device)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_intermixed_args(arguments)
    overrides = [word for word in given.target if re.match(r"\+*device[.=]", word)]
    targets = [word for word in given.target if word not in overrides]
    plain = all(name in installed().offered("device") for name in given.device)
    if len(targets) == 1 and len(given.device) < 2 and plain and not overrides:
        from orchestrator.cli.inspecting import measure_target

        measure_target(targets[0], *given.device, as_json=given.json)
        return
    if not targets:
        raise ConfigError("measure: nothing is named that could be measured.")
    devices = compose_devices(given.device, overrides)
    from orchestrator.cli.comparing import compare, made_devices

    compare(targets, made_devices(devices), as_json=given.json)


def _predict(arguments: list[str]) -> None:
    from orchestrator.cli.predicting import Asked, predict

    parser = _parser("predict", "asks a finalist about images in files, read as in training")
    parser.add_argument("bundle", type=Path, help="a finalist's folder")
    of_class = "a folder with a sub-folder a class gives accuracy and a confusion matrix"
    parser.add_argument("files", nargs="+", type=Path, help=f"images, or folders; {of_class}")
    parser.add_argument("--file", default="", metavar="LABEL", help="by default the recommended")
    parser.add_argument("--device", default="", metavar="NAME", help="by default what fits")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="so many classes a file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    shown = {"top": given.top, "as_json": given.json}
    predict(Asked(given.bundle, given.files, given.file, given.device, **shown))


def _networks(arguments: list[str]) -> None:
    from orchestrator.cli.inspecting import list_networks

    parser = _parser("networks", "counts published networks, beside what was published")
    parser.add_argument("part", nargs="*", help="of a name, such as mobilenet; all without one")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    list_networks(given.part, as_json=given.json)


def _weights(arguments: list[str]) -> None:
    from orchestrator.cli.weights import fetch_weights, list_weights

    parser = _parser("weights", "lists trained weights to start from; fetches one where asked")
    parser.add_argument("part", nargs="*", help="of a name, such as mobilenet; all without one")
    parser.add_argument("--fetch", metavar="NAME", help="the only thing here that uses the network")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.fetch:
        fetch_weights(given.fetch, as_json=given.json)
    else:
        list_weights(given.part, as_json=given.json)


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
        {
            "plugin": each.plugin,
            "package": each.package,
            "message": each.message,
            "details": each.details,
            "stays": each.stays,
        }
        for each in found.problems
    ]
    if as_json:
        print(json.dumps({"offers": rows, "problems": problems}, indent=1))
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        print(
            f"{row['family']:<11}{row['name']:<{wide + 2}}{row['package']:<24}{row['summary']}"
            f"{_needs(row)}"
        )
    for problem in found.problems:
        print(problem)


def _needs(row: Mapping[str, Any]) -> str:
    """What an offer lacks, and how to get it; else what it is known to need."""
    if row["missing"]:
        return f" Lacks {', '.join(row['missing'])}: {row['advice']}"
    return f" Needs {', '.join(row['needs'])}." if row["needs"] else ""


_COMMANDS: Mapping[str, Callable[[list[str]], None]] = {
    "plan": _plan,
    "table": _table,
    "resume": _resume,
    "merge": _merge,
    "report": _report,
    "pick": _pick,
    "rebuild": _rebuild,
    "measure": _measure,
    "predict": _predict,
    "networks": _networks,
    "weights": _weights,
    "plugins": _plugins,
    "new-plugin": _new_plugin,
}


def _parser(command: str, does: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"python -m orchestrator {command}", description=does)


def _folder_parser(command: str, does: str) -> argparse.ArgumentParser:
    parser = _parser(command, does)
    parser.add_argument("folder", type=Path)
    return parser


def _count(text: str) -> int:
    """For argparse, which tells the flag and what was found."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return number


def _limits(pairs: Sequence[str]) -> dict[str, float]:
    limits = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise ConfigError(f"expected NAME=VALUE such as latency_ms=20, found {pair!r}.")
    return limits


def _quieten() -> None:
    """No library's warning noise, no OpenMP threads that spin (before torch is imported).

    Nor a search for cycles among the objects of torch's modules as the process ends, which takes
    most of the seconds that ending takes.
    """
    atexit.register(gc.freeze)
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)  # where a plugin's native code takes this process down
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)


def _fail(text: str, status: int) -> None:
    print(f"orchestrator: {printable(text)}", file=sys.stderr)
    raise SystemExit(status)
