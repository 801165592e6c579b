"""As much of a search as is tracked, and what MLflow knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator_onnxruntime.runtime import OnnxRuntime

from orchestrator.analysis.agreement import Agreement, Correlation, correlate
from orchestrator.config import TrackingConfig
from orchestrator.contracts.objective import Axis
from orchestrator.records import Check, Finalist, Genotype, Record
from orchestrator.tracking import Tracker

AXES = (
    Axis("accuracy", "share", "maximize", 0.0),
    Axis("macs", "MACs", "minimize", 5e6),
    Axis("latency_ms", "ms", "minimize", 9.0),
)
WAIT_S = 120.0


@dataclass
class Search:
    """As much of a study as is tracked."""

    folder: Path
    name: str = "tiny on digits"
    summary_markdown: str = "**0000 is best.**\n\n| a |\n|---|\n| 1 |"
    leading: str = "accuracy"
    axes: Sequence[Axis] = AXES
    tags: Mapping[str, str] = field(default_factory=lambda: {"space": "tiny", "dataset": "digits"})
    params: Mapping[str, Any] = field(default_factory=lambda: {"candidates": 4})
    hypervolume: float = 0.5
    records: list[Record] = field(default_factory=list)
    finalists: list[Finalist] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def agreement(self) -> Agreement:
        return Agreement.of(self.checks)

    @property
    def correlations(self) -> list[Correlation]:
        return correlate(self.records, ["macs"])

    def learn(self, check: Check) -> None:
        """As a study does."""
        self.checks.append(check)
        self.records = [check.record if r.number == check.number else r for r in self.records]


def record(number: int, **changes: Any) -> Record:
    """A feasible candidate, better in accuracy and worse in cost the higher its number."""
    plain = Record(
        number=number,
        genotype=Genotype("tiny", "small", {"number": number}),
        outcome="feasible",
        values={"accuracy": 0.9 + number / 100, "macs": 1e6 * (1 + number), "latency_ms": 3.1},
        choices={"stages": 2, "phases.0.width": 8},
        curve=(0.5, 0.9),
        seconds=2.0,
        finished_at=1_700_000_000.0 + number,
    )
    return replace(plain, **changes)


REJECTED = record(
    1, outcome="rejected", values={"macs": 5e6}, violations={"macs": 4e5}, curve=(), reason="big"
)
FAILED = record(2, outcome="failed", values={}, curve=(), step="train", error="Trace\nE: nan")
RECORDS = [record(0), REJECTED, FAILED, record(3, outcome="stopped", values={"accuracy": 0.4})]


def refuse_notes(message: str) -> None:
    raise AssertionError(message)


def track(store: Path, search: Search, records: Sequence[Record], *, finish: bool = True) -> None:
    """One process's life."""
    tracker = Tracker(TrackingConfig(), store, refuse_notes, [OnnxRuntime()])
    tracker.orchestrator_search_started(search)
    for item in records:
        search.records.append(item)
        tracker.orchestrator_candidate_finished(search, item)
    if finish:
        tracker.orchestrator_search_finished(search, [r for r in search.records if not r.number])
    assert tracker.close(WAIT_S)


def runs(store: Path) -> tuple[Any, dict[int, Any]]:
    """The parent run, and the nested ones by number."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("orchestrator").experiment_id
    found = client.search_runs([experiment])
    (parent,) = [run for run in found if run.data.tags["kind"] == "search"]
    nested = [run for run in found if run.data.tags["kind"] == "candidate"]
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in nested)
    numbers = [int(run.data.tags["number"]) for run in nested]
    assert len(set(numbers)) == len(numbers), f"written twice: {sorted(numbers)}"
    return parent, dict(zip(numbers, nested, strict=True))


def curve(store: Path, name: str) -> list[tuple[int, float]]:
    """A metric of the parent run: step and value, by step."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    history = client.get_metric_history(runs(store)[0].info.run_id, name)
    return sorted((metric.step, metric.value) for metric in history)
