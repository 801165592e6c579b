"""A run's folder on disk: what is written where, and how it is read again."""

from __future__ import annotations

import csv
import errno
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config import StudyConfig, check_config, flat_config
from orchestrator.errors import ConfigError, RunError
from orchestrator.faults.masking import masked, masked_values, secrets_of, unmasked_values
from orchestrator.files import (
    inside,
    read_json,
    read_text,
    reading,
    replacing,
    understood,
    write_json,
)
from orchestrator.plan.planning import Plan
from orchestrator.records import Finalist, Record
from orchestrator.search.journal import exclusive

__all__ = ["RunFolder"]

# Of plan.json, config.yaml and finalists.json; 0 is what was written before forms had a number.
_PLAN = _CONFIG = _FINALISTS = 1
# Passwords of config.yaml's addresses, for whoever made the run alone (0600); tracked nowhere.
_SECRETS = "secrets.json"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one search."""

    path: Path

    @property
    def journal(self) -> Path:
        """Optuna's storage: every candidate, the moment it is known."""
        return self.path / "study.journal"

    @property
    def results(self) -> Path:
        """One file a candidate, written by the worker that finished it."""
        return self.path / "results"

    @property
    def checks(self) -> Path:
        """One file for each candidate that was trained further, and each length of training."""
        return self.path / "checks"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Held for a new search, before a word is written; what no search was started in is undone.

        Raises RunError for a folder that holds a search, is in use or cannot be written.
        """
        made = self._made()
        try:
            with exclusive(self.path):
                self.refuse_second_search()
                try:
                    yield
                finally:
                    if not self._has_search:
                        (self.path / "lock").unlink(missing_ok=True)
        finally:
            for folder in made:
                with suppress(OSError):  # not empty: something was started, or is another's
                    folder.rmdir()

    def check_place(self) -> None:
        """Raise RunError where no run can be written; what had to be made is gone again."""
        for folder in self._made():
            with suppress(OSError):
                folder.rmdir()
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise _unwritable(self.path, OSError(errno.EACCES, os.strerror(errno.EACCES)))

    def _made(self) -> list[Path]:
        """The folders that had to be made, the innermost first."""
        try:
            missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # a name with a zero in it is a ValueError
            raise _unwritable(self.path, error) from error
        return missing

    @contextmanager
    def held(self) -> Iterator[None]:
        """Held to go on with its search; raises RunError. What a killed writer left half goes."""
        with exclusive(self.path):
            for folder in (self.path, self.results, self.checks):
                for part in folder.glob(".*.part"):
                    part.unlink(missing_ok=True)
            yield

    @property
    def _has_search(self) -> bool:
        return self.journal.exists() or (self.path / "config.yaml").exists()

    def refuse_second_search(self) -> None:
        """Raise RunError if the folder holds a search."""
        if self._has_search:
            raise RunError(
                f"{self.path} holds a search already. Go on with it by "
                f"`python -m orchestrator resume {self.path}`, or choose another run.dir."
            )

    def start(
        self,
        config: StudyConfig,
        plan: Plan,
        overrides: Sequence[str],
        more: Callable[[], None] = lambda: None,
    ) -> None:
        """Write what is needed to repeat or resume the search; raises RunError if it is taken.

        `more` writes what else a search knows as it begins.
        """
        self.refuse_second_search()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._write("environment.txt", "\n".join(_environment()) + "\n")
            self._write("overrides.txt", "\n".join(map(masked, overrides)) + "\n")
            if secrets := secrets_of(flat_config(config)):
                with replacing(self.path / _SECRETS, private=True) as part:
                    part.write_text(json.dumps(secrets), encoding="utf-8")
            write_json(self.path / "plan.json", plan.to_json(), format=_PLAN)
            more()
            # Last: what has a configuration has all that a resumed search needs.
            self._write("config.yaml", _written(config))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def keep_config(self, config: StudyConfig) -> None:
        """Write where images and devices are now; raises RunError."""
        try:
            self._write("config.yaml", _written(config))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def config(self) -> StudyConfig:
        """The configuration of the search; raises RunError."""
        path = self.path / "config.yaml"
        text = self._read("config.yaml")
        try:
            with reading(path):
                data = understood(yaml.safe_load(text), path, format=_CONFIG)
                return check_config(unmasked_values(data, self._secrets()))
        except (yaml.YAMLError, ConfigError) as error:
            raise RunError(f"{path} cannot be used: {error}") from error

    def _secrets(self) -> dict[str, str]:
        """What config.yaml has masked; nothing in a folder that was passed on without it."""
        path = self.path / _SECRETS
        if not path.exists():
            return {}
        with reading(path):
            return {str(key): str(text) for key, text in json.loads(read_text(path)).items()}

    def plan(self) -> Plan:
        """The plan of the search; raises RunError."""
        path = self.path / "plan.json"
        self._read("plan.json")  # says what the folder is not, where it is none
        with reading(path):
            return Plan.from_json(read_json(path, format=_PLAN, before=self._with_device))

    def _with_device(self, old: Mapping[str, Any]) -> dict[str, Any]:
        """What was found on the one device that there was, by its name."""
        name = next(iter(self.config().device))
        rest = {key: value for key, value in old.items() if key != "fingerprint"}
        found = {"fingerprints": {name: old["fingerprint"]}}
        return {**rest, **found, "reference_ms": {name: old["reference_ms"]}}

    def check_roles(self, config: StudyConfig, plan: Plan) -> None:
        """Raise RunError for objectives that are others than the search is for."""
        searched = [key for key, item in config.objective.items() if item.role == "objective"]
        planned = [axis.name for axis in plan.axes]
        if sorted(searched) != sorted(planned):
            raise RunError(
                f"{self.path / 'config.yaml'} searches for {', '.join(searched) or 'nothing'}, the "
                f"search was begun for {', '.join(planned)} (plan.json). What is searched for "
                "cannot change: put the roles back, or start another search."
            )

    def overrides(self) -> list[str]:
        """The command line that started the search."""
        return self._read("overrides.txt").split("\n")[:-1]

    def environment(self) -> dict[str, str]:
        """What the search ran on; nothing where the file is gone, as nothing depends on it."""
        try:
            lines = self._read("environment.txt").splitlines()
        except RunError:
            return {}
        return dict(line.split("==", 1) for line in lines if "==" in line)

    def write_finalists(self, finalists: Sequence[Finalist]) -> None:
        """Keep what is known of finalists; called after each of them."""
        path = self.path / "finalists.json"
        write_json(
            path, {"finalists": [finalist.to_json() for finalist in finalists]}, format=_FINALISTS
        )

    def finalists(self) -> list[Finalist]:
        """What `write_finalists` kept; empty before the first.

        Raises RunError, also for one whose files lie outside of the run's folder.
        """
        path = self.path / "finalists.json"
        if not path.exists():
            return []
        found = read_json(path, format=_FINALISTS, before=lambda old: {"finalists": old})
        with reading(path):
            known = [Finalist.from_json(finalist) for finalist in found["finalists"]]
            for finalist in known:
                for name in (finalist.folder, finalist.file, *(f.file for f in finalist.files)):
                    inside(self.path, name)
        return known

    def write_tables(
        self,
        records: Sequence[Record],
        front: Iterable[int],
        estimated: tuple[str, Mapping[int, float]],
    ) -> None:
        """candidates.csv and front.csv for a spreadsheet.

        `estimated` is a column's name and, by number, the estimates of candidates that were
        trained further since.
        """
        members = set(front)
        rows = [_row(record, record.number in members, estimated) for record in records]
        self._write_csv("candidates.csv", rows)
        self._write_csv("front.csv", [row for row in rows if row["front"]])

    def _write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with (
            replacing(self.path / name) as part,
            part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _write(self, name: str, text: str) -> None:
        with replacing(self.path / name) as part:
            part.write_text(text, encoding="utf-8", errors="backslashreplace")

    def _read(self, name: str) -> str:
        try:
            return read_text(self.path / name)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path} is not the folder of a search: {name} cannot be read ({error}). "
                "Give the folder that a search printed last."
            ) from error


def _unwritable(path: Path, error: OSError | ValueError) -> RunError:
    reason = getattr(error, "strerror", None) or error
    return RunError(
        f"run.dir={path} cannot be written: {reason}. Choose a folder with write "
        "access, on a disk with free space."
    )


def _written(config: StudyConfig) -> str:
    return yaml.safe_dump(
        {"format": _CONFIG, **masked_values(flat_config(config))}, sort_keys=False
    )


def _row(
    record: Record, on_front: bool, estimated: tuple[str, Mapping[int, float]]
) -> dict[str, Any]:
    column, known = estimated
    checked = {column: known.get(record.number, "")} if known else {}
    return {
        "number": record.number,
        "id": record.id,
        "network": record.training,
        "runtime": record.genotype.runtime,
        "steps": " + ".join(step.name for step in record.genotype.compression),
        "outcome": record.outcome,
        "front": on_front,
        "origin": record.origin,
        **({"earlier": record.earlier} if record.earlier else {}),
        **record.values,
        **_known(record),
        **checked,
        "seconds": round(record.seconds, 3),
        "reason": record.reason,
        **record.choices,
    }


def _known(record: Record) -> dict[str, float]:
    """Between what latencies are known to lie, and how many images a metric is counted on."""
    images = record.extra.get("validation_images")
    known = {} if images is None else {"validation_images": images}
    for name, value in record.values.items():
        for latency in record.latencies.values():
            if latency.ms == value and latency.interval_ms is not None:
                known[f"{name}_low"], known[f"{name}_high"] = latency.interval_ms
    return known


def _environment() -> list[str]:
    packages = {d.name: d.version for d in distributions() if d.name}
    machine = {
        "python": sys.version.split()[0],
        "machine": platform.machine(),
        "system": platform.platform(),
    }
    return [
        f"{name}=={value}" for name, value in {**machine, **dict(sorted(packages.items()))}.items()
    ]
