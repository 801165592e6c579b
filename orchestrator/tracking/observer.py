"""The observer's hooks take a snapshot and return; a daemon thread writes.

The first thing that goes wrong is told in one line, then tracking is quiet.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config import TrackingConfig
from orchestrator.faults.masking import masked
from orchestrator.hookspecs import hookimpl
from orchestrator.records import Check, Record
from orchestrator.tracking.naming import clipped
from orchestrator.tracking.snapshot import Snapshot, TrackedRun, correlated, trusted
from orchestrator.tracking.writer import Writer

if TYPE_CHECKING:
    from orchestrator.contracts.device import Device

__all__ = ["Tracker", "tracking_uri", "ui_hint"]

# Correlations are told after so many candidates, and after ever more as their cost grows.
_CANDIDATES = 5
_SHARE = 0.05


class Tracker:
    """Observer hooks that write to MLflow; register an instance as a plugin.

    `default_path` is the SQLite file used where the configuration gives no URI. `warn` is called
    at most once for a broken store and once for an unfinished `close`, from any thread. `devices`
    know the flavours of their files.
    """

    def __init__(
        self,
        config: TrackingConfig,
        default_path: Path,
        warn: Callable[[str], None] = print,
        devices: Sequence[Device] = (),
    ) -> None:
        self.enabled = config.enabled
        self._uri = tracking_uri(config, default_path)
        self._experiment = config.experiment
        self._default_path = default_path
        self._devices = devices
        self._warning = warn
        self._jobs: queue.Queue[Callable[[Writer], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._correlate_at = 0

    @hookimpl
    def orchestrator_search_started(self, study: TrackedRun) -> None:
        """Open the parent run, or the one of the search that is resumed."""
        if self.enabled:
            self._correlate_at = len(study.records) + _CANDIDATES
            self._do(partial(Writer.start, run=Snapshot.of(study)))

    @hookimpl
    def orchestrator_candidate_finished(self, study: TrackedRun, record: Record) -> None:
        """Write one nested run and the parent's curves; returns at once."""
        if self.enabled:
            curves = {"hypervolume": study.hypervolume, **self._ranks(study)}
            self._do(partial(Writer.add, record=record, curves=curves))

    @hookimpl
    def orchestrator_candidate_checked(self, study: TrackedRun, check: Check) -> None:
        """Write to the candidate's run what it is worth now, to the parent how estimates rank."""
        if self.enabled:
            self._do(partial(Writer.check, check=check, ranks=trusted(study)))

    @hookimpl
    def orchestrator_search_finished(self, study: TrackedRun, front: Sequence[Record]) -> None:
        """Mark the front, attach the run's files and register the recommended finalists.

        The report and the tables in the run's folder are to be written before.
        """
        if self.enabled:
            members = frozenset(record.number for record in front)
            self._do(partial(Writer.finish, run=Snapshot.of(study), front=members))

    def close(self, timeout_s: float = 60.0) -> bool:
        """Wait until all is written, at most `timeout_s` seconds; whether it was."""
        if self._thread is None:
            return True
        self._jobs.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._warn(
                f"MLflow at {self._uri} was not done after {timeout_s:g} s and is left behind; "
                "the run's folder has everything."
            )
        return not self._thread.is_alive()

    def _warn(self, text: str) -> None:
        self._warning(masked(text))

    def _ranks(self, study: TrackedRun) -> dict[str, float]:
        """Correlations, once every few candidates."""
        count = len(study.records)
        if count < self._correlate_at:
            return {}
        self._correlate_at = count + max(_CANDIDATES, round(_SHARE * count))
        return correlated(study)

    def _do(self, job: Callable[[Writer], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        writer: Writer | None = None
        try:
            writer = Writer(self._uri, self._experiment, self._default_path, self._devices)
            while (job := self._jobs.get()) is not None:
                job(writer)
            writer.leave()
        except Exception as error:
            reason = clipped((str(error).strip().splitlines() or [repr(error)])[0])
            self._warn(
                f"MLflow tracking ends here: {reason} ({type(error).__name__}). The search goes "
                f"on and the run's folder has everything; check tracking.uri, found {self._uri}."
            )


def tracking_uri(config: TrackingConfig, default_path: Path) -> str:
    """Where runs are written: the configured URI, else SQLite at `default_path`, absolute."""
    return config.uri or f"sqlite:///{default_path.absolute()}"


def ui_hint(config: TrackingConfig, default_path: Path) -> str:
    """What to type, and what to open, to see the runs; MLflow's start page is for chat traces."""
    uri = masked(tracking_uri(config, default_path))
    page = "/#/experiments?workflowType=machine_learning"
    if uri.startswith("http"):
        return uri.rstrip("/") + page
    return f"mlflow server --backend-store-uri {uri}  →  http://127.0.0.1:5000{page}"
