"""What of a search is tracked, and what it is at one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.analysis.agreement import Agreement, Correlation
from orchestrator.records import Check, Finalist, Record

if TYPE_CHECKING:
    from orchestrator.contracts.objective import Axis

__all__ = ["Snapshot", "TrackedRun", "correlated", "trusted"]


class TrackedRun(Protocol):
    """The part of a study that is tracked; read in the caller's thread when a hook is called."""

    @property
    def name(self) -> str:
        """The parent run's name."""

    @property
    def folder(self) -> Path:
        """The run's folder, where artifacts lie and `mlflow.json` is kept."""

    @property
    def summary_markdown(self) -> str:
        """The result in one sentence, then a small table; MLflow's page shows four lines."""

    @property
    def leading(self) -> str:
        """The name of the task's leading metric."""

    @property
    def axes(self) -> Sequence[Axis]:
        """The searched objectives."""

    @property
    def tags(self) -> Mapping[str, str]:
        """space, dataset, device, version and what else tells searches apart."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Settings of the search, few and short."""

    @property
    def hypervolume(self) -> float:
        """Of what is known so far."""

    @property
    def records(self) -> Sequence[Record]:
        """All that is known so far; a resumed search logs those that MLflow has missed."""

    @property
    def checks(self) -> Sequence[Check]:
        """Candidates trained further than their estimate; `records` know of it."""

    @property
    def agreement(self) -> Agreement:
        """What the checks say of the estimator."""

    @property
    def correlations(self) -> Sequence[Correlation]:
        """How well each static objective ranks what is known of the leading metric."""

    @property
    def finalists(self) -> Sequence[Finalist]:
        """What the front's members became; empty before the end."""


@dataclass(frozen=True)
class Snapshot:
    """A `TrackedRun` at one moment (`at`, seconds since 1970), safe to read in another thread."""

    name: str
    folder: Path
    at: float
    summary: str
    leading: str
    axes: tuple[Axis, ...]
    tags: dict[str, str]
    params: dict[str, Any]
    records: tuple[Record, ...]
    checks: tuple[Check, ...]
    ranks: Mapping[str, float]
    finalists: tuple[Finalist, ...]

    @classmethod
    def of(cls, study: TrackedRun) -> Snapshot:
        """What `study` is now."""
        return cls(
            name=study.name,
            folder=Path(study.folder).absolute(),
            at=time.time(),
            summary=study.summary_markdown,
            leading=study.leading,
            axes=tuple(study.axes),
            tags={key: str(value) for key, value in study.tags.items()},
            params=dict(study.params),
            records=tuple(_own(study)),
            checks=tuple(study.checks),
            ranks={**trusted(study), **correlated(study)},
            finalists=tuple(_placed(entry, Path(study.folder)) for entry in study.finalists),
        )


def _own(study: TrackedRun) -> list[Record]:
    """What an earlier run paid for is in that run, but for what this one trained further."""
    trained = {finalist.number for finalist in study.finalists}
    trained |= {check.number for check in study.checks}
    return [record for record in study.records if not record.earlier or record.number in trained]


def _placed(finalist: Finalist, folder: Path) -> Finalist:
    """A finalist with whole paths: its own are relative to the run's folder."""
    return replace(finalist, folder=str(folder / finalist.folder), file=str(folder / finalist.file))


def trusted(study: TrackedRun) -> dict[str, float]:
    """Name → tau of the estimator; without what cannot be said yet."""
    trust = study.agreement
    taus = {"kendall_tau": trust.tau, "kendall_tau_at_macs": trust.tau_at_macs}
    return {name: tau for name, tau in taus.items() if tau is not None}


def correlated(study: TrackedRun) -> dict[str, float]:
    """Name → tau of each static objective; without what cannot be said yet."""
    return {f"tau.{one.name}": one.tau for one in study.correlations if one.tau is not None}
