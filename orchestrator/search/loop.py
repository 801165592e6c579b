"""The search loop: Ray executes, the proposer decides and remembers.

Each candidate is one task of Ray's pool, whose workers stay warm. As soon as one is done the next
is handed over, and only then is the outcome told: what is finished together is synced together. No
more is asked for than keeps the workers busy: one candidate at a time where they take long, two
ahead where asking costs a noticeable part of an evaluation. Where one candidate runs at a time
nothing is asked ahead, so that the same seed gives the same proposals, whatever the clock.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from orchestrator.contracts.sampler import Measured, Proposal
from orchestrator.errors import RunError
from orchestrator.measuring.costs import Cost
from orchestrator.records import Record
from orchestrator.search.cluster import Job, Resources, call, task_options
from orchestrator.search.ends import End, MeterDeath, cancel, end_of, lost, swept
from orchestrator.search.proposer import Proposer

__all__ = ["Callbacks", "Limits", "search"]

# Proposals that wait, where a worker would otherwise idle for more than this share of its time.
_AHEAD = 2
_IDLE_SHARE = 0.1
# How much the last candidate says of the next one's seconds.
_LAST = 0.3
# A signal that another library swallowed is noticed so soon.
_HEARTBEAT_S = 1.0
# The longest that a process may take to start, and to read its data, before its time begins.
_START_S = 600.0
# Times a candidate's process may die of what may be the machine's fault.
_DEATHS = 2
# Losses of a whole machine are not held against a candidate, unless there is no end of them.
_MACHINES = 8
# So many proposals for one that is paid for mean that the budgets leave almost nothing.
_PROPOSALS_PER_CANDIDATE = 40
# Shortlists that may be lost one after the other until no more are measured.
_LOST = 3


@dataclass(frozen=True)
class Limits:
    """When the search ends: candidates paid for, or seconds from now; and what one may take.

    What still runs when time is up is ended, and stays open for a resume. A candidate that takes
    longer than `seconds_each` has failed.
    """

    candidates: int
    seconds: float | None = None
    seconds_each: float | None = None


@dataclass(frozen=True)
class Callbacks:
    """What the loop tells and asks while it runs."""

    on_record: Callable[[Record], None]
    # More for each candidate's payload, at the moment it starts.
    payload: Callable[[Proposal], Mapping[str, Any]] = lambda proposal: {}
    # The record to tell of an outcome; None where the candidate goes on, with another payload.
    judge: Callable[[Record], Record | None] = lambda record: record
    # Whether the user wants to stop, in case the interrupt itself was lost on its way.
    stopped: Callable[[], bool] = lambda: False
    # Whether the search has got all that it can get.
    enough: Callable[[], bool] = lambda: False
    # What a candidate's process left when it died, by number; empty where it left nothing.
    traces: Callable[[int], str] = lambda number: ""
    # Seconds since a candidate's evaluation began, by number; None where its process still starts.
    runs_s: Callable[[int], float | None] = lambda number: math.inf
    # Whether a task hangs in a measurement, by its id; asked once, as it ends that.
    hung_in_meter: Callable[[str], bool] = lambda task: False
    # What the user should be told of.
    note: Callable[[str], None] = lambda text: None
    # What a task took.
    on_cost: Callable[[Cost], None] = lambda cost: None


def search(
    proposer: Proposer, job: Job, resources: Resources, limits: Limits, observer: Callbacks
) -> None:
    """Propose and evaluate until a limit is met; every outcome is told as soon as it is known.

    Raises DeviceError when the device is gone and RunError when the disk is full; what ran then
    stays open. KeyboardInterrupt passes through.
    """
    loop = _Loop(proposer, job, resources, limits, observer)
    try:
        loop.run()
    except OSError as error:
        raise RunError(
            f"the search cannot be written down: {error}. Nothing that was told is lost; free some "
            "disk space or give write access, then resume."
        ) from error
    finally:
        loop.cancel()
    if observer.stopped():
        raise KeyboardInterrupt


@dataclass
class _Task:
    """A candidate that is evaluated, or waits to be evaluated again."""

    proposal: Proposal
    started: float = 0.0
    deadline: float = math.inf
    deaths: int = 0
    machines: int = 0
    fault: MeterDeath | None = None


@dataclass(frozen=True)
class _Shortlist:
    """Networks that are measured before it is decided which of them is trained."""

    wanted: Sequence[Measured]
    deadline: float


class _Loop:
    """Hands candidates to Ray and hears of them, in the driver's one thread."""

    def __init__(
        self,
        proposer: Proposer,
        job: Job,
        resources: Resources,
        limits: Limits,
        observer: Callbacks,
    ) -> None:
        self._proposer = proposer
        self._limits = limits
        self._observer = observer
        self._concurrent = resources.concurrent
        self._function = job.function
        self._common = ray.put(dict(job.common))
        self._task = call.options(**task_options(resources, job))
        self._shortlist = job.shortlist
        self._running: dict[Any, _Task] = {}
        self._measuring: dict[Any, _Shortlist] = {}
        self._lost = 0
        self._ahead: deque[Proposal] = deque()
        self._again: deque[_Task] = deque()
        self._going_on: deque[_Task] = deque()
        self._suspect: _Task | None = None
        self._used_up = False
        self._end = time.monotonic() + limits.seconds if limits.seconds else None
        self._asking = self._seconds_each = 0.0

    def run(self) -> None:
        """Until nothing runs and nothing more is wanted."""
        while not (self._over or self._observer.stopped()):
            self._fill()
            if not self._running and not self._measuring:
                break
            self._look_ahead()
            self._hear(self._finished())
            self._give_up()
        if self._suspect and self._suspect.fault:
            raise self._suspect.fault

    def cancel(self) -> None:
        """End what runs, on whatever machine; it stays open."""
        cancel([*self._running, *self._measuring])
        self._running.clear()
        self._measuring.clear()

    @property
    def _over(self) -> bool:
        """Whether the search ends now, whatever runs."""
        late = self._end is not None and time.monotonic() > self._end
        paid = self._proposer.paid >= self._limits.candidates
        return late or paid or self._observer.enough()

    def _fill(self) -> None:
        """A candidate for each free worker; one that may die for want of memory is alone."""
        if self._again:
            if not self._running and not self._measuring:
                self._start(self._again.popleft())
            return
        while len(self._running) + len(self._measuring) < self._concurrent:
            if self._going_on:
                self._start(self._going_on.popleft())
                continue
            if self._measure():
                continue
            proposal = self._ahead.popleft() if self._ahead else self._ask()
            if proposal is None:
                return
            self._start(_Task(proposal))

    def _look_ahead(self) -> None:
        """Ask while the workers are busy, where they would wait for it."""
        busy = self._asking <= _IDLE_SHARE * self._seconds_each
        if self._concurrent == 1 or busy or self._again:
            return
        while len(self._ahead) < _AHEAD and (proposal := self._ask()):
            self._ahead.append(proposal)

    def _measure(self) -> bool:
        """Have a shortlist measured, where the sampler wants one; one at a time."""
        if self._measuring or self._ahead or not self._shortlist or not self._wanted:
            return False
        wanted = self._proposer.shortlist()
        if wanted:
            told = [{"genotype": m.genotype.to_json(), "choices": dict(m.choices)} for m in wanted]
            reference = self._task.remote(self._shortlist, self._common, {"shortlist": told})
            most = (self._limits.seconds_each or math.inf) + _START_S
            self._measuring[reference] = _Shortlist(wanted, time.monotonic() + most)
        return bool(wanted)

    @property
    def _wanted(self) -> bool:
        """Whether another candidate is, beside those that are on their way."""
        on_way = (self._running, self._ahead, self._going_on, self._again, self._measuring)
        waiting = sum(map(len, on_way))
        most = self._limits.candidates * _PROPOSALS_PER_CANDIDATE
        enough = self._proposer.paid + waiting >= self._limits.candidates
        return not (self._used_up or enough or self._proposer.answered + waiting >= most)

    def _ask(self) -> Proposal | None:
        """The next candidate; None where no more is wanted, or the space is used up."""
        if not self._wanted:
            return None
        start = time.monotonic()
        proposal = self._proposer.propose()
        self._asking = _smooth(self._asking, time.monotonic() - start)
        self._used_up = proposal is None
        return proposal

    def _start(self, task: _Task) -> None:
        task.started = time.monotonic()
        task.deadline = task.started + (self._limits.seconds_each or math.inf)
        payload = {**_payload(task.proposal), **self._observer.payload(task.proposal)}
        self._running[self._task.remote(self._function, self._common, payload)] = task

    def _finished(self) -> list[Any]:
        """References of what is done; none when there is something else to look after."""
        references = [*self._running, *self._measuring]
        ready, rest = ray.wait(references, num_returns=1, timeout=self._patience)
        if ready and rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(ready)

    @property
    def _patience(self) -> float:
        """Seconds until somebody's time is up, or the heart beats."""
        ends = [task.deadline for task in self._running.values()]
        ends += [shortlist.deadline for shortlist in self._measuring.values()]
        left = min([*ends, self._end or math.inf]) - time.monotonic()
        return max(0.0, min(left, _HEARTBEAT_S))

    def _hear(self, references: Sequence[Any]) -> None:
        """Start others first, then tell what became of these; a fatal one ends the search last."""
        for reference in [each for each in references if each in self._measuring]:
            self._hear_measured(reference)
        ended = [(self._running.pop(each), each) for each in references if each in self._running]
        while self._ahead and len(self._running) < self._concurrent and not self._again:
            self._start(_Task(self._ahead.popleft()))
        ends = [(task, self._end_of(reference)) for task, reference in ended]
        self._tell([r for task, end in ends if (r := self._outcome(task, end)) is not None])
        for task, end in ends:
            if isinstance(end.fatal, MeterDeath):
                self._suspect_of(task, end.fatal)
            elif end.fatal is not None:
                raise end.fatal

    def _hear_measured(self, reference: Any) -> None:
        """What a shortlist was found to be; a death of the meter's is for candidates to confirm."""
        del self._measuring[reference]
        end = self._end_of(reference)
        if end.fatal is not None and not isinstance(end.fatal, MeterDeath):
            raise end.fatal
        self._take_measured(end)

    def _end_of(self, reference: Any) -> End:
        end = end_of(reference)
        self._observer.on_cost(end.cost)
        return end

    def _take_measured(self, end: End) -> None:
        """Where nothing was found the sampler decides as if it had not asked."""
        found = [Record.from_json(told) for told in end.record["found"]] if end.record else []
        with self._proposer.together():
            told = self._proposer.measured(found)
        for record in told:
            self._observer.on_record(record)
        self._lost = 0 if end.record else self._lost + 1
        if self._lost:
            more = "" if self._lost < _LOST else "; no more are"
            self._observer.note(f"a shortlist was not measured{more}: {end.exception}")
        if self._lost == _LOST:
            self._shortlist = None

    def _tell(self, records: list[Record]) -> None:
        if self._suspect and any(record.latencies for record in records):
            # The device is well: it measures others.
            end = End("death", str(self._suspect.fault))
            records, self._suspect = [*records, lost(self._suspect.proposal, end)], None
        told: list[Record] = []
        with self._proposer.together():
            for record in records:
                told += self._proposer.tell(record)
        for record in told:
            self._observer.on_record(record)

    def _suspect_of(self, task: _Task, fault: MeterDeath) -> None:
        """It stays open until another one is measured; raises MeterDeath where that fails too."""
        if self._suspect:
            raise fault
        task.fault, self._suspect = fault, task

    def _outcome(self, task: _Task, end: End) -> Record | None:
        """What to tell of a candidate; None for one that stays open, or is tried again."""
        self._seconds_each = _smooth(self._seconds_each, time.monotonic() - task.started)
        if end.record is not None:
            return self._judged(task, Record.from_json(end.record))
        if end.fatal is not None:
            return None
        if end.kind == "machine" and task.machines < _MACHINES:
            task.machines += 1
            self._again.append(task)
            return None
        traces = self._observer.traces(task.proposal.number)
        if end.kind == "death" and not traces and task.deaths + 1 < _DEATHS:
            task.deaths += 1
            self._again.append(task)
            return None
        return lost(task.proposal, end, traces)

    def _judged(self, task: _Task, record: Record) -> Record | None:
        """The record to tell; one that goes on is written down before it does."""
        told = self._observer.judge(record)
        if told is None:
            self._proposer.climb(record)
            self._going_on.append(task)
        return told

    def _give_up(self) -> None:
        """Fail what has been running for too long, and take its worker's life.

        Raises RunError where nothing can end any more.
        """
        if (gone := swept()) is not None:
            raise gone
        now, limit = time.monotonic(), self._limits.seconds_each or math.inf
        for reference, shortlist in list(self._measuring.items()):
            if shortlist.deadline < now:
                del self._measuring[reference]
                cancel([reference])
                self._observer.hung_in_meter(reference.task_id().hex())
                self._take_measured(End("late", f"no answer after {limit:.3g} s"))
        for reference, task in list(self._running.items()):
            if task.deadline > now:
                continue
            runs_s = self._observer.runs_s(task.proposal.number)
            if runs_s is None and now < task.started + limit + _START_S:
                task.deadline = now + _HEARTBEAT_S
            elif runs_s is not None and runs_s < limit:
                task.deadline = now + limit - runs_s
            else:
                self._end_late(reference, f"no answer after {limit:.3g} s")

    def _end_late(self, reference: Any, text: str) -> None:
        task = self._running.pop(reference)
        cancel([reference])
        if self._observer.hung_in_meter(reference.task_id().hex()):
            self._suspect_of(task, MeterDeath(f"{text} of the measuring process."))
        else:
            self._tell([lost(task.proposal, End("late", text))])


def _payload(proposal: Proposal) -> dict[str, Any]:
    return {
        "number": proposal.number,
        "genotype": proposal.genotype.to_json(),
        "choices": dict(proposal.choices),
        "origin": proposal.origin,
    }


def _smooth(before: float, last: float) -> float:
    return last if before == 0.0 else before + _LAST * (last - before)
