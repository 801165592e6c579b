"""How the evaluation of a candidate ended, and who is to blame: the candidate or the machine."""

from __future__ import annotations

import contextlib
import faulthandler
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ray
from ray import exceptions as told_by_ray
from ray.exceptions import RayError

from orchestrator.contracts.sampler import Proposal
from orchestrator.errors import (
    DeviceError,
    OrchestratorError,
    RunError,
    UsageError,
    disk_trouble,
)
from orchestrator.measuring.costs import Cost
from orchestrator.records import Record

__all__ = [
    "End",
    "MeterDeath",
    "cancel",
    "cause",
    "end_of",
    "lost",
    "since",
    "swept",
    "traced",
    "traces_of",
]

# With its node a task is lost whatever it did.
_MACHINES = (
    told_by_ray.NodeDiedError,
    told_by_ray.LocalRayletDiedError,
    told_by_ray.ObjectLostError,
)
_FULL = (told_by_ray.OutOfDiskError, told_by_ray.ObjectStoreFullError)
_SILENT = (
    "its process ended without a word, as by SIGKILL, by os._exit or for want of memory "
    "(dmesg tells of the latter)"
)


class MeterDeath(DeviceError):
    """A measuring process died of a question, or never answered it.

    The question or the device may be to blame: what is measured next tells.
    """


@dataclass(frozen=True)
class End:
    """What is known of a task that is over.

    `done` with a `record`; `raised` for an exception outside of the evaluation, `late` for one
    that took too long, `death` of its process and loss of its `machine`, with a `reason` and all
    that is known as `error`; `fatal` for what ends the search and is no candidate's fault. `cost`
    is what it took, known only where it is done.
    """

    kind: Literal["done", "raised", "late", "death", "machine", "fatal"]
    reason: str = ""
    record: Mapping[str, Any] | None = None
    error: str = ""
    fatal: OrchestratorError | None = None
    raised: Exception | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def exception(self) -> Exception:
        """What ended it, for whoever counts on a result."""
        return self.fatal or self.raised or OrchestratorError(self.reason)


def cancel(references: Collection[Any]) -> None:
    """End tasks by the death of their processes; one whose result is there is left alone.

    Ray takes the caller's process down where a cancellation meets a result that is being stored,
    and that is no rare chance: Ray looks for signals once a second and when a result wakes it, so
    Ctrl-C is often heard just then.
    """
    if references:
        for running in ray.wait(list(references), num_returns=len(references), timeout=0)[1]:
            ray.cancel(running, force=True)


def end_of(reference: Any) -> End:
    """How a task that Ray says is over has ended."""
    try:
        found, cost = ray.get(reference)
        return End("done", record=found, cost=Cost(**cost))
    except RayError as error:
        return _told(error)


def swept() -> RunError | None:
    """What to raise where Ray's own temporary folder is gone, without which all it does fails."""
    node = ray._private.worker._global_node
    if node is None:
        return None
    folder = node.get_session_dir_path()
    with contextlib.suppress(PermissionError):  # of a cluster that somebody else started
        if not Path(folder).exists():
            return RunError(
                f"the temporary folder {folder} was removed while the search ran. No candidate "
                "is lost: resume, with TMPDIR set to a folder that nobody sweeps."
            )
    return None


def lost(proposal: Proposal, end: End, traces: str = "") -> Record:
    """The record of a candidate that gave none, by what its process left behind if it died."""
    reason = _signal(traces) if traces else end.reason
    return Record(
        number=proposal.number,
        genotype=proposal.genotype,
        outcome="failed",
        choices=dict(proposal.choices),
        reason=_first_line(reason),
        step="process",
        error="\n".join(text for text in (reason, traces, end.error) if text),
        finished_at=time.time(),
        origin=proposal.origin,
    )


@contextlib.contextmanager
def traced(path: Path) -> Iterator[None]:
    """Where the process dies of a signal of its own doing in here, `path` tells where it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        faulthandler.enable(file, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()
    path.unlink(missing_ok=True)


def since(path: Path) -> float | None:
    """Seconds since a process entered `traced`; None where none has, or it is out of sight."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def traces_of(path: Path) -> str:
    """What a process that died left in `traced`; it is taken away."""
    try:
        text = path.read_text(errors="replace").strip()
    except OSError:
        return ""
    path.unlink(missing_ok=True)
    return text


def cause(error: BaseException) -> Exception:
    """The exception a worker raised, or Ray's own if the worker died."""
    inner = getattr(error, "cause", None)
    return inner if isinstance(inner, Exception) else Exception(str(error).strip())


def _told(error: RayError) -> End:
    found = cause(error)
    text = str(error).strip()
    if (fatal := _fatal(error, found)) is not None:
        return End("fatal", fatal=fatal)
    if isinstance(error, _MACHINES):
        return End("machine", f"its machine was lost: {_first_line(text)}", error=text)
    if isinstance(error, told_by_ray.OutOfMemoryError):
        return End("death", f"Ray ended its process for want of memory: {text}", error=text)
    if isinstance(error, told_by_ray.WorkerCrashedError):
        return End("death", _SILENT, error=text)
    return End("raised", str(found), error=text, raised=found)


def _fatal(error: RayError, found: Exception) -> OrchestratorError | None:
    """What is no candidate's fault; None where it may be one's."""
    # Outside of an evaluation a missing folder or plugin is the same for all candidates.
    if isinstance(found, DeviceError | UsageError):
        return found
    full = disk_trouble(found) or (found if isinstance(error, _FULL) else None)
    if full is not None:
        return RunError(f"{full}: free some disk space, then resume.")
    return swept()


def _signal(traces: str) -> str:
    """Such as "its process died: Segmentation fault, in … line 7": where Python was then."""
    first, *rest = traces.splitlines()
    place = next((line.strip() for line in rest if line.strip().startswith("File ")), "")
    reason = first.removeprefix("Fatal Python error: ")
    return f"its process died: {reason}" + (f", at {place}" if place else "")


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no message"
