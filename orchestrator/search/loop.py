"""The search loop: Ray Tune executes, the proposer decides and remembers.

Tune runs one long-lived evaluator a slot, not one trial a candidate: starting a process for each
candidate costs seconds, and Tune's bookkeeping more than a small evaluation. After each step the
driver hands the evaluator its next candidates, several when they take milliseconds, one as soon
as they take half a second. An evaluator is thin and starts a task of Ray's pool for each
candidate: when that dies, for want of memory say, the evaluator lives on and tells it. Tune's
own state is not kept: the journal is the truth.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.search import Searcher

from orchestrator.contracts.sampler import Proposal
from orchestrator.errors import DeviceError, OrchestratorError, PluginError, RunError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.records import Record
from orchestrator.search.cluster import Job, Resources, call, cause, task_options
from orchestrator.search.proposer import Proposer

__all__ = ["Limits", "search"]

_BATCH_SECONDS = 0.5
_LARGEST_BATCH = 32
_IDLE_SECONDS = 0.05
# Evaluators that may die before the search gives up.
_RESTARTS = 8
# So many proposals for one that is paid for mean that the budgets leave almost nothing.
_PROPOSALS_PER_CANDIDATE = 40


@dataclass(frozen=True)
class Limits:
    """When the search ends: candidates paid for, or seconds from now."""

    candidates: int
    seconds: float | None = None


@dataclass(frozen=True)
class Callbacks:
    """What the loop tells and asks while it runs."""

    on_record: Callable[[Record], None]
    # More for each candidate's payload, at the moment it starts.
    payload: Callable[[Proposal], Mapping[str, Any]] = lambda proposal: {}
    # Whether the user wants to stop, in case the interrupt itself was lost on its way.
    stopped: Callable[[], bool] = lambda: False


def search(
    proposer: Proposer, job: Job, resources: Resources, limits: Limits, observer: Callbacks
) -> None:
    """Propose and evaluate until a limit is met; every outcome is told as soon as it is known.

    Raises DeviceError when the device is gone and RunError when the disk is full;
    KeyboardInterrupt passes through.
    """
    searcher = _Searcher(proposer, resources, limits, observer)
    if searcher.finished:
        return
    evaluator = tune.with_resources(_Evaluator, {"cpu": 0.001})
    with WorkingFolder("tune") as folder:
        tuner = tune.Tuner(
            evaluator,
            param_space={"job": asdict(job), "options": task_options(resources)},
            tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=str(folder),
                name="search",
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # Tune prints a banner even so
            tuner.fit()
    if observer.stopped():
        raise KeyboardInterrupt
    if searcher.fatal is not None:
        raise searcher.fatal


class _Evaluator(tune.Trainable):  # type: ignore[misc]
    """Evaluates what it is given, one candidate after another; a step is a batch."""

    def setup(self, config: dict[str, Any]) -> None:
        self._job = Job(**config["job"])
        self._task = call.options(**config["options"])
        self._batch: Sequence[Mapping[str, Any]] | None = ()
        self._introduced = False

    def give(self, batch: Sequence[Mapping[str, Any]] | None) -> None:
        """The next step's candidates; None when there will be no more."""
        self._batch = batch

    def step(self) -> dict[str, Any]:
        if not self._introduced:
            self._introduced = True
            return {"actor": ray.get_runtime_context().current_actor}
        if self._batch is None:
            return {"done": True}
        if not self._batch:
            time.sleep(_IDLE_SECONDS)
        return {"outcomes": [self._evaluate(payload) for payload in self._batch]}

    def _evaluate(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        everything = {**self._job.common, **payload}
        try:
            return {"record": ray.get(self._task.remote(self._job.function, everything))}
        except RayError as error:
            found = cause(error)
            fatal = found if isinstance(found, DeviceError | RunError) else None
            return {"lost": str(found), "fatal": fatal}


class _Searcher(Searcher):  # type: ignore[misc]
    """Tune's side of the proposer: it suggests evaluators and hears of candidates."""

    def __init__(
        self, proposer: Proposer, resources: Resources, limits: Limits, observer: Callbacks
    ) -> None:
        super().__init__()
        self.fatal: OrchestratorError | None = None
        self._proposer = proposer
        self._concurrent = resources.concurrent
        self._limits = limits
        self._observer = observer
        self._actors: dict[str, Any] = {}
        self._running: dict[str, list[Proposal]] = {}
        self._started: dict[str, float] = {}
        self._seconds_each = _BATCH_SECONDS
        self._end = time.monotonic() + limits.seconds if limits.seconds else None
        self._used_up = False
        self._restarts = _RESTARTS

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its search algorithm; ours lives in the journal instead.
        return {}

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        return

    def restore(self, checkpoint_path: str) -> None:
        return

    @property
    def paid(self) -> int:
        """Candidates paid for so far."""
        return self._proposer.paid

    @property
    def finished(self) -> bool:
        """Whether nothing more will be proposed."""
        late = self._end is not None and time.monotonic() > self._end
        most = self._limits.candidates * _PROPOSALS_PER_CANDIDATE
        enough = self.paid >= self._limits.candidates or self._proposer.answered >= most
        over = late or enough or self._used_up or self.fatal is not None
        return over or self._observer.stopped()

    def suggest(self, trial_id: str) -> Any:
        if self.finished:
            return Searcher.FINISHED
        if len(self._running) >= self._concurrent:
            return None
        self._running[trial_id] = []
        return {"slot": len(self._running)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "actor" in result:
            self._actors[trial_id] = result["actor"]
        batch = self._running[trial_id]
        if batch:
            self._seconds_each = (time.monotonic() - self._started[trial_id]) / len(batch)
        for proposal, outcome in zip(batch, result.get("outcomes", []), strict=True):
            self._tell(proposal, outcome)
        self._running[trial_id] = []
        if not result.get("done"):
            self._give(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """An evaluator has ended, as it was told to, or because its process died."""
        for proposal in self._running.pop(trial_id):
            self._tell(proposal, {"lost": "the process that evaluated it died"})
        if error:
            self._restarts -= 1
        if self._restarts < 0:
            text = f"Ray lost {_RESTARTS + 1} evaluators; see its logs for the reason."
            self.fatal = OrchestratorError(text)

    def _give(self, trial_id: str) -> None:
        """Hand over the next batch; Tune's next step comes after it, as calls keep their order."""
        # An empty batch waits: another slot's candidate may still be rejected, which pays nothing.
        batch = None if self.finished else self._batch()
        self._running[trial_id] = batch or []
        self._started[trial_id] = time.monotonic()
        payloads = None if batch is None else [self._payload(proposal) for proposal in batch]
        self._actors[trial_id].give.remote(payloads)

    def _batch(self) -> list[Proposal]:
        left = self._limits.candidates - self.paid - sum(map(len, self._running.values()))
        share = -(-left // self._concurrent)
        quick = int(_BATCH_SECONDS / max(self._seconds_each, 1e-3))
        batch: list[Proposal] = []
        while len(batch) < min(max(1, quick), _LARGEST_BATCH, share) and not self._used_up:
            try:
                proposal = self._proposer.propose()
            except PluginError as error:
                self.fatal = error
                break
            self._used_up = proposal is None
            if proposal is not None:
                batch.append(proposal)
        return batch

    def _payload(self, proposal: Proposal) -> dict[str, Any]:
        return {
            "number": proposal.number,
            "genotype": proposal.genotype.to_json(),
            "choices": dict(proposal.choices),
            "origin": proposal.origin,
            **self._observer.payload(proposal),
        }

    def _tell(self, proposal: Proposal, outcome: Mapping[str, Any]) -> None:
        if outcome.get("fatal") is not None:
            # The candidate is not to blame: it stays open and is the first after a resume.
            self.fatal = outcome["fatal"]
            return
        record = (
            Record.from_json(outcome["record"])
            if "record" in outcome
            else _lost(proposal, str(outcome["lost"]))
        )
        for told in self._proposer.tell(record):
            self._observer.on_record(told)


def _lost(proposal: Proposal, message: str) -> Record:
    """A candidate whose process died or raised outside its evaluation."""
    first = message.strip().splitlines()[0] if message.strip() else "no message"
    return Record(
        number=proposal.number,
        genotype=proposal.genotype,
        outcome="failed",
        choices=dict(proposal.choices),
        reason=first,
        step="process",
        error=message,
        finished_at=time.time(),
        origin=proposal.origin,
    )
