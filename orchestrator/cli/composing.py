"""From the words of a command line to a checked configuration: the only module with Hydra.

Hydra's own flags are read here, so that a search takes one road whether it has any or not, and
every mistake ends in one message.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from orchestrator.cli.overrides import restored, spelt, translated
from orchestrator.errors import ConfigError, closest
from orchestrator.faults.masking import masked
from orchestrator.paths import config_dir

if TYPE_CHECKING:
    from orchestrator.config import DeviceConfig, StudyConfig

__all__ = ["CommandLine", "compose", "compose_devices", "jobs", "read_command_line", "show"]

_CONFIG_NAME = "config"
# Flags of Hydra's that show something and start no search.
_SHOWING = ("help", "hydra_help", "cfg", "info", "shell_completion")


@dataclass(frozen=True)
class CommandLine:
    """Overrides and flags, apart. `shows` are words for Hydra, which then starts nothing."""

    overrides: tuple[str, ...] = ()
    config_dir: Path | None = None
    config_path: Path | None = None
    config_name: str = _CONFIG_NAME
    multirun: bool = False
    version: bool = False
    shows: tuple[str, ...] = ()

    @property
    def place(self) -> Path:
        """The folder with the configuration's files."""
        return self.config_path or config_dir()

    @property
    def words(self) -> list[str]:
        """What repeats it: the flags that say where configuration is, then the overrides."""
        found = [f"--config-dir={self.config_dir}"] if self.config_dir else []
        found += [f"--config-path={self.config_path}"] if self.config_path else []
        found += [f"--config-name={self.config_name}"] if self.config_name != _CONFIG_NAME else []
        return [*found, *self.overrides]


def read_command_line(words: Sequence[str]) -> CommandLine:
    """Flags and overrides in any order; raises ConfigError for a flag that there is not."""
    given, rest = _parser().parse_known_intermixed_args(list(words))
    if rest:
        flags = [flag for action in _parser()._actions for flag in action.option_strings]
        raise ConfigError(f"{rest[0]}: no such flag; {closest(rest[0].partition('=')[0], flags)}")
    shows = [word for name in _SHOWING for word in _shown(name, getattr(given, name))]
    if shows:
        shows += ["--resolve"] if given.resolve else []
        shows += ["--package", given.package] if given.package else []
    return CommandLine(
        overrides=tuple(given.overrides),
        config_dir=given.config_dir,
        config_path=given.config_path,
        config_name=given.config_name,
        multirun=given.multirun,
        version=given.version,
        shows=tuple(shows),
    )


def compose(overrides: Sequence[str], line: CommandLine | None = None) -> StudyConfig:
    """The checked configuration of overrides; raises ConfigError naming what is valid.

    `line` says where else configuration is looked for. Multiply-adds are counted whatever is
    searched for: they are what a sampler knows of a network before anything is paid.
    """
    from orchestrator.config import check_config

    data = _composed(overrides, line or CommandLine())
    if data.get("objective"):
        data["objective"].setdefault("macs", {"name": "macs", "role": "reported"})
    if data.get("space") is None:
        names = sorted(path.stem for path in (config_dir() / "search").glob("*.yaml"))
        raise ConfigError(
            f"nothing says what to search. Add +search=NAME, for example one of {', '.join(names)}."
        )
    return check_config(data)


def compose_devices(names: Sequence[str], overrides: Sequence[str]) -> Mapping[str, DeviceConfig]:
    """The checked configuration of devices alone; raises ConfigError naming what is valid.

    Without names it is that of a search's usual device. A name may be that of an override,
    `device.NAME={…}`; what a plugin offers without a YAML file has its own defaults.
    """
    from orchestrator.config import DeviceConfig, check_config
    from orchestrator.plugins import installed

    offered = installed().offered("device")
    written = {path.stem for path in (config_dir() / "device").glob("*.yaml")}
    given = [name for word in overrides for name in re.findall(r"^\+*device\.(\w+)=\{", word)]
    plain = [name for name in names if name in offered and name not in written]
    others = [name for name in names if name not in plain and name not in given]
    chosen = [f"device=[{','.join(others)}]"] if others else []
    found: Mapping[str, DeviceConfig] = {}
    if others or given or not names:
        try:
            data = _composed([*chosen, *overrides], CommandLine())
        except ConfigError:
            for name in others:
                if name not in written:
                    text = closest(name, {*offered, *written})
                    raise ConfigError(f"no device is called {name!r}; {text}") from None
            raise
        # No space is looked for.
        found = check_config({**data, "space": {"name": ""}}).device
    made = {**{name: DeviceConfig(name) for name in plain}, **found}
    return {name: made[name] for name in dict.fromkeys([*names, *given])} if names else made


def jobs(line: CommandLine) -> list[list[str]]:
    """The overrides of each search: one, or with --multirun one a combination of `key=a,b`."""
    if not line.multirun:
        return [list(line.overrides)]
    from hydra.core.override_parser.overrides_parser import OverridesParser

    ways: list[list[str]] = []
    with _explaining(line.overrides, line):
        for item in OverridesParser.create().parse_overrides(spelt(line.overrides)):
            if item.is_discrete_sweep():
                key = item.get_key_element()
                ways.append([f"{key}={value}" for value in item.sweep_string_iterator()])
            else:
                ways.append([str(item.input_line)])
    return [list(words) for words in itertools.product(*ways)]


def show(line: CommandLine) -> None:
    """Hydra's help, configuration, information or completion, once its overrides are valid.

    What Hydra prints itself is masked too: a password that was typed is in its configuration.
    """
    import hydra

    if line.overrides and "--shell-completion" not in line.shows:
        _composed(line.overrides, line, complete=False)
    place = str(line.place)
    _register_search_path()
    extra = [f"--config-dir={line.config_dir}"] if line.config_dir else []
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    words = (
        line.overrides if "--shell-completion" in line.shows else _translated(line.overrides, line)
    )
    sys.argv = [sys.argv[0], *line.shows, *extra, *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # it raises, rather than print and end the process
    told = io.StringIO()
    try:
        with _explaining(line.overrides, line), redirect_stdout(told):
            hydra.main(place, line.config_name, version_base="1.3")(lambda composed: None)()
    finally:
        print(masked(told.getvalue()), end="")
        sys.argv = before[0]
        os.environ.pop("HYDRA_FULL_ERROR")
        os.environ.update({} if before[1] is None else {"HYDRA_FULL_ERROR": before[1]})


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. See python -m orchestrator --help.")


@cache
def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False, prog="python -m orchestrator")
    parser.add_argument("overrides", nargs="*")
    for flags in (("--help", "-h"), ("--hydra-help",), ("--shell-completion", "-sc")):
        parser.add_argument(*flags, action="store_true")
    for flags in (("--version",), ("--multirun", "-m"), ("--resolve",), ("--run", "-r")):
        parser.add_argument(*flags, action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--package", "-p")
    parser.add_argument("--config-dir", "-cd", type=_folder)
    parser.add_argument("--config-path", "-cp", type=_folder)
    parser.add_argument("--config-name", "-cn", default=_CONFIG_NAME)
    return parser


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ConfigError(f"{text}: expected a folder of configuration, found none there.")
    return path.absolute()


def _shown(name: str, value: Any) -> list[str]:
    """The words that ask Hydra for it; none where it was not asked for."""
    flag = f"--{name.replace('_', '-')}"
    if value in (None, False):
        return []
    return [flag] if value is True else [flag, str(value)]


def _composed(
    overrides: Sequence[str], line: CommandLine, *, complete: bool = True
) -> dict[str, Any]:
    """Plain values; where they need not be `complete`, what is still to be given is left out."""
    return dict(restored(_as_hydra_does(_translated(overrides, line), line, complete=complete)))


def _translated(overrides: Sequence[str], line: CommandLine) -> list[str]:
    return translated(overrides, lambda words: _as_hydra_does(words, line, complete=False))


def _as_hydra_does(
    overrides: Sequence[str], line: CommandLine, *, complete: bool
) -> dict[str, Any]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    _register_search_path()
    beside = [f"hydra.searchpath=['file://{line.config_dir}']"] if line.config_dir else []
    place = str(line.place)
    with initialize_config_dir(place, version_base="1.3"), _explaining(overrides, line):
        _check_groups(overrides, line)
        composed = hydra_compose(line.config_name, overrides=[*beside, *overrides])
        data = OmegaConf.to_container(composed, resolve=complete, throw_on_missing=complete)
        if not isinstance(data, dict):
            raise ConfigError(f"{line.config_name}: found {data!r}, expected names and values.")
        return {str(key): value for key, value in data.items()}


def _check_groups(overrides: Sequence[str], line: CommandLine) -> None:
    """Raise ConfigError where a group is set to something else than names of its members."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    place = line.place
    groups = {path.name for path in place.iterdir() if path.is_dir()}
    for item in OverridesParser.create().parse_overrides(list(overrides)):
        if not item.key_or_group:
            raise ConfigError(f"{item.input_line}: expected a name before the =.")
        if item.key_or_group not in groups or item.is_delete() or item.is_sweep_override():
            continue
        value = item.value()
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) for name in names):
            raise ConfigError(_no_member(item.key_or_group, item.get_value_element_as_str()))


def _no_member(group: str, found: str) -> str:
    members = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
    many = group in ("objective", "compressor", "device")
    expected = f"a name or a list of names such as [{members[0]}]" if many else "a name"
    none = f" For none of them: {group}=[]." if group == "compressor" else ""
    return f"{group}: found {found}, expected {expected}. Valid: {', '.join(members)}.{none}"


@contextmanager
def _explaining(overrides: Sequence[str], line: CommandLine) -> Iterator[None]:
    """What Hydra and YAML say of a configuration becomes one ConfigError."""
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explained(error, overrides, line)) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"a YAML file of the configuration is broken: {error}") from error
    except BrokenPipeError:  # who reads what is shown has seen enough
        raise
    except (ValueError, TypeError, AttributeError, AssertionError, OSError) as error:
        raise ConfigError(f"the configuration cannot be composed: {error}") from error


def _explained(error: Exception, overrides: Sequence[str], line: CommandLine) -> str:
    """Hydra's message, and for an unknown key the keys that are valid there."""
    text = re.sub(r"\nSee https://hydra\S*.*", "", str(error))
    text = text.partition("\nConfig search path")[0].strip()
    if (word := getattr(error, "override", None)) is not None:
        quoted = f"{word.partition('=')[0]}='…'"
        return f"{word}: cannot be read as a value: {text}. A plain text may be quoted: {quoted}"
    if lost := re.search(r"Could not (?:load|find) '([\w/]+)/([^/']+)'", text):
        members = re.findall(r"^\t(\S+)$", text, re.MULTILINE) or _members(lost[1])
        return f"there is no {lost[1]}/{lost[2]}; {closest(lost[2], members)}"
    if error.__cause__ is not None and str(error.__cause__).strip() not in text:
        text = f"{text}\n{error.__cause__}"
    key = re.search(r"full_key: (\S+)", text)
    if "not in struct" in text and key:
        known = _known_keys(key[1], overrides, line)
        last = key[1].rpartition(".")[2]
        return f"{key[1]}: unknown key; {closest(last, known)}"
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        name = getattr(error, "full_key", None) or missing[1]
        return f"{name}: must be given, for example {name}=VALUE."
    return text


def _members(group: str) -> list[str]:
    """What Hydra finds in a group, plugins' own too."""
    from hydra.core.global_hydra import GlobalHydra

    loader: Any = GlobalHydra.instance().config_loader()
    return list(loader.get_group_options(group))


def _known_keys(key: str, overrides: Sequence[str], line: CommandLine) -> list[str]:
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    unknown = f"{key}="  # a key without a group looks like a group, and is what is wrong
    groups = [item for item in overrides if "." not in item.partition("=")[0]]
    groups = [item for item in groups if not item.startswith(unknown)]
    try:
        parent: Any = hydra_compose(line.config_name, overrides=groups)
    except HydraException:  # another of them is wrong too
        return []
    for part in key.split(".")[:-1]:
        parent = OmegaConf.select(parent, part) if isinstance(parent, DictConfig) else None
    return [str(name) for name in parent] if isinstance(parent, DictConfig) else []


@cache
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
