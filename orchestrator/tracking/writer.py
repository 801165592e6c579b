"""What is written to MLflow for a search and its candidates."""

from __future__ import annotations

import json
import logging
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.display import needs
from orchestrator.analysis.ledger import Ledger
from orchestrator.errors import RunError
from orchestrator.faults.locks import LockTaken, named, take
from orchestrator.faults.masking import masked
from orchestrator.files import read_json, write_json
from orchestrator.records import Finalist, Record, ShippedFile
from orchestrator.tracking import naming
from orchestrator.tracking.models import Registry, owed

if TYPE_CHECKING:
    from orchestrator.contracts.device import Device
    from orchestrator.contracts.objective import Axis
    from orchestrator.records import Check
    from orchestrator.tracking.snapshot import Snapshot

__all__ = ["Writer"]

STATE_FILE = "mlflow.json"
_FORMAT = 1
ARTIFACTS = ("report.html", "front.csv", "candidates.csv", "config.yaml")
# MLflow takes at most this many of each in one request.
BATCH_PARAMS = 100
BATCH_METRICS = 800
# A database is made in seconds.
_PATIENCE_SECONDS = 60.0

# Name, value, milliseconds since 1970, step.
Point = tuple[str, float, int, int]


class Writer:
    """Talks to MLflow in one thread; any call may raise."""

    def __init__(
        self, uri: str, experiment: str, default_path: Path, devices: Sequence[Device] = ()
    ) -> None:
        _quieten()
        from mlflow import MlflowClient

        self.uri = uri
        self.devices = devices
        # Two processes that create one SQLite file at once break each other's migration.
        with _locked(default_path) if uri.startswith("sqlite:") else nullcontext():
            self.client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
            self.experiment = self._experiment(experiment, default_path)
        self.parent = ""
        self.axes: Sequence[Axis] = ()
        self.leading = "accuracy"
        self.records: dict[int, Record] = {}
        self._ledger = Ledger(())
        # Number → run id, and those numbers whose run carries a star.
        self.children: dict[int, str] = {}
        self.starred: set[int] = set()
        # Number → epochs of the longest further training that its run tells.
        self.checked: dict[int, int] = {}
        self.finished = False

    def start(self, *, run: Snapshot) -> None:
        """Open the parent run and catch up with what an earlier process could not write."""
        self.axes = run.axes
        self._ledger = Ledger(run.axes)
        self.leading = run.leading
        self.parent = self._known(run.folder)
        logged = self._reopen() if self.parent else set()
        self.parent = self.parent or self._create(run)
        self._describe(naming.description(run.summary))
        self._catch_up(run.records, logged)
        self._checks(run.checks)

    def add(self, *, record: Record, curves: Mapping[str, float]) -> None:
        """One candidate: its nested run, and a point of each of the parent's `curves`.

        A step is a candidate known, not its number: candidates finish in another order.
        """
        self._child(record)
        ledger = self._ledger
        counts = ledger.counts
        points = {**curves, "feasible": counts["feasible"]}
        points |= {f"best_{name}": best for name, best in ledger.best.items()}
        points |= {"rejected": counts["rejected"], "failed": counts["failed"]}
        now, known = _milliseconds(record.finished_at), len(self.records)
        self._log(self.parent, [(name, v, now, known) for name, v in points.items()])

    def check(self, *, check: Check, ranks: Mapping[str, float]) -> None:
        """One further training: its candidate's run, and how estimates rank by now."""
        self._checks([check])
        now, count = _milliseconds(check.record.finished_at), len(self.checked)
        self._log(self.parent, [(name, tau, now, count) for name, tau in ranks.items()])

    def finish(self, *, run: Snapshot, front: frozenset[int]) -> None:
        """Names and tags of the front, the description, files, models."""
        self._catch_up(run.records, set(self.children))
        self._checks(run.checks)
        now, last = _milliseconds(run.at), len(self.records)
        steps = [(n, v, now, last if "." in n else len(self.checked)) for n, v in run.ranks.items()]
        self._log(self.parent, steps)
        front &= self.children.keys()
        self._star(front)
        members = {self._title(number): self.children[number] for number in sorted(front)}
        guide = naming.links(self.experiment, members)
        self._describe(naming.description(run.summary, guide))
        for file in ARTIFACTS:
            if (run.folder / file).is_file():
                self.client.log_artifact(self.parent, str(run.folder / file))
        for finalist in run.finalists:
            self._finalist(finalist, naming.model_name(run.tags, run.name))
        self.client.set_terminated(self.parent, "FINISHED")
        self.finished = True

    def leave(self) -> None:
        """A parent run that did not finish was interrupted; a resume opens it again."""
        if self.parent and not self.finished:
            self.client.set_terminated(self.parent, "KILLED")

    def _experiment(self, name: str, default_path: Path) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Without a server the artifacts would land in the working directory.
        beside = default_path.absolute().parent / "mlflow-artifacts" / name
        location = None if self.uri.startswith("http") else beside.as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def _known(self, folder: Path) -> str:
        """The parent run that an earlier process opened, "" if this store has none."""
        from mlflow.exceptions import MlflowException

        path = folder / STATE_FILE
        state = read_json(path, format=_FORMAT) if path.is_file() else {}
        if masked(state.get("uri", "")) != masked(self.uri):
            return ""
        try:
            info = self.client.get_run(state["run_id"]).info
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        return str(info.run_id) if info.lifecycle_stage == "active" else ""

    def _reopen(self) -> set[int]:
        """Numbers of the nested runs that are complete; half-written ones are written again."""
        self.client.update_run(self.parent, status="RUNNING")
        logged = set()
        for child in self._nested():
            number = int(child.data.tags["number"])
            self.children[number] = child.info.run_id
            if child.data.tags.get("front") == "yes":
                self.starred.add(number)
            if "checked_epochs" in child.data.tags:
                self.checked[number] = int(child.data.tags["checked_epochs"])
            if child.info.status != "RUNNING":
                logged.add(number)
        return logged

    def _nested(self) -> Iterator[Any]:
        token = None
        query = f"tags.`mlflow.parentRunId` = '{self.parent}'"
        while True:
            page = self.client.search_runs([self.experiment], query, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, run: Snapshot) -> str:
        created = self.client.create_run(
            self.experiment,
            start_time=_milliseconds(run.at),
            run_name=run.name,
            tags={"kind": "search", "folder": str(run.folder), **run.tags},
        )
        run_id = str(created.info.run_id)
        self._log(run_id, params=run.params)
        state = {"uri": masked(self.uri), "experiment_id": self.experiment, "run_id": run_id}
        write_json(run.folder / STATE_FILE, state, format=_FORMAT)
        return run_id

    def _catch_up(self, records: Sequence[Record], logged: set[int]) -> None:
        for record in records:
            self._know(record)
            if record.number not in logged:
                self._child(record)

    def _child(self, record: Record) -> None:
        """Write a candidate's nested run; writing it twice changes nothing."""
        self._know(record)
        end = _milliseconds(record.finished_at)
        if record.number not in self.children:
            self.children[record.number] = self._create_child(record, end)
        run_id = self.children[record.number]
        points = [(name, value, end, 0) for name, value in record.values.items()]
        points += [(f"excess_{name}", value, end, 0) for name, value in record.violations.items()]
        points += [("seconds", record.seconds, end, 0)]
        points += [
            (f"val_{self.leading}", v, end, epoch) for epoch, v in enumerate(record.curve, 1)
        ]
        self._log(run_id, points, record.choices)
        text = json.dumps(record.to_json(), indent=2, default=str)
        self.client.log_text(run_id, text, "candidate.json")
        if record.error:
            self.client.log_text(run_id, record.error, "error.txt")
        # MLflow paints KILLED like a failure, which a rejected or stopped candidate is not.
        status = "FAILED" if record.outcome == "failed" else "FINISHED"
        self.client.set_terminated(run_id, status, end_time=end)

    def _checks(self, checks: Sequence[Check]) -> None:
        """Bring runs up to date with further training, in its order; a known one costs nothing.

        A candidate's figures become those after its longest training, as in the run's folder.
        """
        for check in sorted(checks, key=lambda check: check.epochs):
            number, record = check.number, check.record
            if record.outcome == "failed" or self.checked.get(number, 0) >= check.epochs:
                continue
            self._know(record)
            if number not in self.children:  # of an earlier run, and trained further in this one
                self._child(record)
            self._checked(check, self.children[number])
            self.checked[number] = check.epochs

    def _checked(self, check: Check, run_id: str) -> None:
        """The tag comes last: a check without it is written again."""
        record, step = check.record, check.epochs
        now = _milliseconds(record.finished_at)
        values = {f"estimated_{self.leading}": check.estimated, **record.values}
        if record.curve:
            values[f"trained_further_{self.leading}"] = check.trained
        self._log(run_id, [(name, value, now, step) for name, value in values.items()])
        star = "★ " if check.number in self.starred else ""
        self.client.update_run(run_id, name=star + self._title(check.number))
        told = {
            "mlflow.note.content": naming.note(record, self.axes),
            "outcome": record.outcome,
            "checked_epochs": str(step),
        }
        for name, value in told.items():
            self.client.set_tag(run_id, name, value)

    def _create_child(self, record: Record, end: int) -> str:
        tags = {
            "mlflow.parentRunId": self.parent,
            "mlflow.note.content": naming.note(record, self.axes),
            "kind": "candidate",
            "id": record.id,
            "number": str(record.number),
            "outcome": record.outcome,
            "reason": naming.clipped(record.reason or naming.last_line(record.error)),
            "step": record.step,
            "origin": record.origin,
            "earlier": record.earlier,
            "front": "no",
        }
        created = self.client.create_run(
            self.experiment,
            start_time=end - int(1000 * record.seconds),
            run_name=naming.title(record, self.axes),
            tags={name: value for name, value in tags.items() if value},
        )
        return str(created.info.run_id)

    def _star(self, front: frozenset[int]) -> None:
        """Mark the front's runs, and unmark those that a longer search has pushed off it."""
        for number in sorted(front ^ self.starred):
            run_id, name = self.children[number], self._title(number)
            self.client.set_tag(run_id, "front", "yes" if number in front else "no")
            self.client.update_run(run_id, name=f"★ {name}" if number in front else name)
        self.starred = set(front)

    def _title(self, number: int) -> str:
        return naming.title(self.records[number], self.axes)

    def _know(self, record: Record) -> None:
        """Take a candidate's record, or what became of it since."""
        known = self.records.get(record.number)
        self.records[record.number] = record
        if known is None:
            self._ledger.add(record)
        elif known != record:
            self._ledger = Ledger(self.axes, list(self.records.values()))

    def _describe(self, markdown: str) -> None:
        self.client.set_tag(self.parent, "mlflow.note.content", markdown)

    def _finalist(self, finalist: Finalist, model: str) -> None:
        number = finalist.number
        run_id, recommended = self.children[number], finalist.recommended
        figures = finalist.figures.items()
        now = _milliseconds(time.time())
        points = [(f"final_{k}", v, now, 0) for k, v in figures if isinstance(v, int | float)]
        points += [(f"final_{k}", v, now, 0) for f in finalist.files for k, v in _told(f)]
        self._log(run_id, points)
        suited = {
            f"picks.{file.label}": ", ".join(needs(file.picks, file.rivals))
            for file in finalist.files
        }
        tags = {
            "picks": ", ".join(finalist.picks),
            "file": finalist.label,
            **{f"file.{device}": name for device, name in finalist.leads.items()},
            **suited,
            "recommended": "yes" if recommended else "no",
            **owed(finalist),
        }
        for name, value in tags.items():
            if value:
                self.client.set_tag(run_id, name, value)
        self.client.log_artifacts(run_id, finalist.folder, "bundle")
        if recommended:
            registry = Registry(self.client, self.experiment, self.devices)
            registry.register(model, run_id, finalist, self._title(number))

    def _log(
        self, run_id: str, points: Sequence[Point] = (), params: Mapping[str, Any] | None = None
    ) -> None:
        """One request for nearly all candidates; what is not finite is left out."""
        from mlflow.entities import Metric, Param

        metrics = [
            Metric(naming.key(name), float(value), at, step)
            for name, value, at, step in points
            if math.isfinite(value)
        ]
        pairs = [
            Param(naming.key(name), naming.clipped(str(value)))
            for name, value in (params or {}).items()
        ]
        while metrics or pairs:
            self.client.log_batch(
                run_id, metrics=metrics[:BATCH_METRICS], params=pairs[:BATCH_PARAMS]
            )
            metrics, pairs = metrics[BATCH_METRICS:], pairs[BATCH_PARAMS:]


def _told(file: ShippedFile) -> list[tuple[str, float]]:
    """The figures of one file of a finalist, named with its label: "latency_ms/int8"."""
    found = {
        "test": file.reached,
        "validation": file.validation,
        "agreement": file.agreement,
        "size_bytes": file.size_bytes,
        "macs": file.macs,
        "latency_ms": file.latency.ms if file.latency else None,
        **{f"test_{name}": value for name, value in file.metrics.items()},
        **_interval(file),
    }
    return [(f"{name}/{file.label}", value) for name, value in found.items() if value is not None]


def _interval(file: ShippedFile) -> dict[str, float]:
    known = file.latency.interval_ms if file.latency else None
    return {"latency_from_ms": known[0], "latency_to_ms": known[1]} if known else {}


def _quieten() -> None:
    """No telemetry, no start-up chatter, no minutes of retries; before MLflow is imported."""
    for name, value in {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }.items():
        os.environ.setdefault(name, value)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    # MLflow's own use of SQLAlchemy and ONNX is not ours to mend.
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic|sqlalchemy|onnx)(\.|$)")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = take(path.with_suffix(".lock"), seconds=_PATIENCE_SECONDS, mode=0o666)
    except LockTaken as taken:
        raise RunError(
            f"{path} is being made by {named(taken.holders)} for more than {_PATIENCE_SECONDS:.0f} "
            "s. Continue or end that process, or name a server by tracking.uri."
        ) from None
    with lock:
        yield


def _milliseconds(seconds: float) -> int:
    """Since 1970; now, where a record does not say."""
    return int(1000 * (seconds or time.time()))
