"""The phases of a search that need workers: teacher, search, finalists."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from orchestrator.analysis.agreement import read_checks
from orchestrator.analysis.display import human
from orchestrator.analysis.health import Health
from orchestrator.candidate.assembly import Assembly, draw
from orchestrator.candidate.factory import Factory
from orchestrator.contracts import Budget, Estimator, Ground, Proposal
from orchestrator.errors import DeviceError, OrchestratorError, words_of
from orchestrator.estimators.ladder import Ladder
from orchestrator.estimators.rung import drop_checkpoints
from orchestrator.plugins import Plugins
from orchestrator.pretrained.listing import TRAINED
from orchestrator.pretrained.loading import Loaded, load_checkpoint
from orchestrator.pretrained.settling import adapts
from orchestrator.pretrained.starting import adapted_file, credit_of, prepare_start, start_file
from orchestrator.records import Check, Finalist, Record
from orchestrator.search.cluster import Cluster, Job
from orchestrator.search.ends import since, traces_of
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer
from orchestrator.search.rungs import Rungs
from orchestrator.search.together import run_together
from orchestrator.search.worker import progress_of, traces_file
from orchestrator.study.earlier import kept_earlier
from orchestrator.study.layers import layers, widest
from orchestrator.study.patience import candidate_s, longest_s
from orchestrator.study.picking import picked
from orchestrator.study.rivals import Rivals
from orchestrator.study.spending import Spending
from orchestrator.study.standstill import flat, is_flat, over, refuse_alike, refuse_failure
from orchestrator.study.study import Study, Viewer, notify

__all__ = ["Phases", "worker"]

# Tables are written while a search runs: not sooner than this, and for that share of its time.
_TABLE_SECONDS = 5.0
_TABLE_SHARE = 0.02
_PERCENT = 100
# Of a candidate's epochs; two rungs then come to somewhat more than a training.
_FIRST_RUNG = 0.4


@dataclass
class Phases:
    """The phases that need workers."""

    study: Study
    factory: Factory
    viewer: Viewer
    cluster: Cluster
    common: Mapping[str, Any]
    _tables_at: float = 0.0
    _end: float | None = None
    _approximate: bool = False
    _foretells: bool = False
    _overrun: set[str] = field(default_factory=set)
    _since: float = field(default_factory=time.time)
    _rungs: Rungs | None = None

    def __post_init__(self) -> None:
        self.cluster.on_cost = self.spending.heard

    @cached_property
    def spending(self) -> Spending:
        """What all this takes."""
        return Spending(self.study, self.cluster.resources.concurrent)

    def enter(self, name: str, total: int, done: int = 0) -> None:
        """A stage of so many steps begins, of which some are done."""
        self.study.remaining = self.spending.enter(name, total, done)
        self.viewer.phase(name, total)

    def advance(self, done: int) -> None:
        """So many steps of the stage are done."""
        self.study.remaining = self.spending.step(done)
        self.viewer.step(self.study, done)

    @property
    def assembly(self) -> Assembly:
        """What the study is made of."""
        return self.factory.assembly

    @property
    def plugins(self) -> Plugins:
        """Who is told what happens."""
        return self.factory.plugins

    def job(self, name: str) -> Job:
        """One of the workers' functions, by name; at home, and ended where it takes too long."""
        return Job(worker(name), self.common, longest_s(self.study), at_home=True)

    def begin(self) -> None:
        """Put the trained weights that networks start from into the run's folder, if any."""
        weights = self.study.config.weights
        if weights is not None and weights != TRAINED:
            self._start_from(weights, start_file(self.study.folder))

    def adapt(self) -> None:
        """Let all networks start from what the teacher has learnt, where that is asked for.

        It is the starting weights' own network. A narrow one that inherits from what knows the
        images already is trained in a fraction of the epochs.
        """
        if not adapts(self.study.config):
            return
        folder = self.study.folder
        own = self.study.config.weights == TRAINED
        path = start_file(folder) if own else adapted_file(folder)
        self._start_from(str(folder.resolve() / "teacher"), path)

    def _start_from(self, weights: str, path: Path) -> None:
        assembly, released = self.assembly, credit_of(self.study.folder)
        self.enter("starting weights", 1)

        def load() -> Loaded:
            loaded = load_checkpoint(
                weights,
                assembly.space,
                assembly.facts,
                task=assembly.task,
                plugins=self.plugins,
            )
            if released is None:
                return loaded
            # Owed to whom they were before they learnt these images.
            credit = replace(released, part=f"{released.part}; then trained on these images")
            return replace(loaded, credit=credit)

        start = prepare_start(path, assembly.space, assembly.facts.shape, load)
        for note in start.notes:
            self.viewer.note(note)
        self.advance(1)

    def teach(self) -> None:
        """Train the teacher, unless there is one or none is needed."""
        study = self.study
        needed = study.plan.teacher is not None or adapts(study.config)
        if not needed or (study.folder / "teacher").is_dir():
            return
        self.enter("teacher", 1)
        start = self.factory.start
        # The checkpoint's own network knows most, and least of it is new.
        genotype = study.plan.teacher if start is None else start.genotype.to_json()
        job = self.job("train_teacher")
        for _, result in self.cluster.map(job, [{"genotype": genotype}]):
            if isinstance(result, Exception):
                raise OrchestratorError(f"the teacher cannot be trained: {result}") from result
            reached = human(result[f"validation_{study.leading}"], "share")
            self.viewer.note(f"teacher: {reached} on validation")
        self.advance(1)

    def prepare(self) -> None:
        """What the estimator is paid once, such as training shared weights."""
        estimator = self.assembly.estimator
        self._approximate, self._foretells = estimator.approximate, estimator.predicts
        if type(estimator).prepare is Estimator.prepare:
            return
        self.enter(estimator.name, _PERCENT)
        job, folder = self.job("prepare_estimator"), self.study.folder
        if estimator.workers > 1:
            # What the group leaves on disk is found by the same job again, which then only tells.
            run_together(job, estimator.workers, self.cluster.resources)

        def watch() -> None:
            done = int(_PERCENT * progress_of(folder))
            self.advance(min(done, _PERCENT - 1))

        for _, told in self.cluster.map(job, [{}], watch):
            if isinstance(told, Exception):
                raise OrchestratorError(f"{estimator.name} cannot be prepared: {told}") from told
            self.advance(_PERCENT)
            self._approximate, self._foretells = told["approximate"], told["foretells"]
            for note in told["notes"]:
                self.viewer.note(note)

    def search(self) -> None:
        """Propose and evaluate until the budget is spent, with a look at the estimator halfway."""
        proposer = self._proposer()
        candidates = self.study.config.budget.candidates
        half = candidates // 2
        if self._checked:
            self._propose(proposer, half)
        # A search that is resumed further on had its look, at the front as it was then.
        if self._checked and self._paid() <= half:
            self._check(self._neighbourhood(self._checked // 2), *self._check_rungs[0])
        self._propose(proposer, candidates)

    def check(self) -> None:
        """Successive halving over the front's neighbourhood: train further, keep the better half.

        Jamieson and Talwalkar 2016, arXiv:1502.07943. Finalists are chosen with what it tells.
        """
        if not self._checked:
            return
        chosen = self._neighbourhood(self._checked)
        for epochs, total in self._check_rungs:
            self._check(chosen, epochs, total)
            kept = {check.number for check in self.study.checks if check.epochs == total}
            near = [r for r in self._neighbourhood(len(self.study.records)) if r.number in kept]
            chosen = near[: max(1, len(chosen) // 2)]
        self._write_tables()

    @property
    def _checked(self) -> int:
        return self.study.config.budget.checked if self._approximate else 0

    @property
    def _check_rungs(self) -> list[tuple[int, int]]:
        """(epochs of this rung, epochs in all) of each."""
        first = max(1, round(_FIRST_RUNG * self.study.config.train.epochs))
        return [(first, first), (2 * first, 3 * first)]

    def _neighbourhood(self, count: int) -> list[Record]:
        """Trainings whose own candidate, or a variant of it, is on the front or near it."""
        trained = {record.number: record for record in self.study.records}
        near: dict[int, Record] = {}
        for record in layers(self.study.feasible, self.study.axes):
            if len(near) == count:
                break
            if record.training in trained:
                near[record.training] = trained[record.training]
        return list(near.values())

    def _check(self, records: Sequence[Record], epochs: int, total: int) -> None:
        """Train some candidates further, those that were not yet, and say what it tells."""
        study = self.study
        if study.finalists:
            return  # chosen by what was checked, which has since changed who is near the front
        done = {check.number for check in study.checks if check.epochs == total}
        estimated = {check.number: check.estimated for check in study.checks}
        ahead = [record for record in records if record.number not in done and record.curve]
        if not ahead:
            return
        self.enter("check", len(ahead))
        payloads = [
            {
                "record": record.to_json(),
                "estimated": estimated.get(record.number, record.curve[-1]),
                "epochs": epochs,
                "total": total,
            }
            for record in ahead
        ]
        job = self.job("check_candidate")
        for finished, (index, result) in enumerate(self.cluster.map(job, payloads), start=1):
            if isinstance(result, DeviceError):
                raise result
            if isinstance(result, Exception):
                self.viewer.note(f"candidate {ahead[index].id} was not checked: {result}")
            else:
                check = Check.from_json(result)
                study.learn([check])
                hook = "orchestrator_candidate_checked"
                notify(self.plugins, self.viewer, hook, study=study, check=check)
            self.advance(finished)
        self.viewer.note(study.agreement.sentence)

    def _proposer(self) -> Proposer:
        study, config = self.study, self.study.config
        known = kept_earlier(study.folder)
        proposer = Proposer(
            study.home.journal,
            self._ground(),
            self._sampler,
            seed=config.run.seed,
            earlier=known.priors,
        )
        proposer.take_over(known.evaluations)
        proposer.recover(study.home.results)
        if not proposer.answered:
            for seed in study.plan.seeds:
                proposer.suggest_first(seed.choices, seed.name)
        study.records = [proposer.records[number] for number in sorted(proposer.records)]
        if config.budget.rungs:
            ladder = Ladder.of(config.budget, config.train.epochs)
            self._rungs = Rungs(ladder, study.axes, study.records, proposer.climbing)
        study.learn(read_checks(study.home.checks))
        notify(self.plugins, self.viewer, "orchestrator_search_started", study=study)
        minutes = config.budget.minutes
        self._end = time.monotonic() + 60 * minutes if minutes else None
        return proposer

    def _ground(self) -> Ground:
        targets = [target for target in self.assembly.targets if target.has_budget]
        return Ground(
            self.study.axes,
            partial(draw, self.assembly),
            self.factory.static,
            {target.name: Budget(target.config.min, target.config.max) for target in targets},
            self.assembly.compression.made,
            self.factory.same,
            self._measurable,
            self.study.plan.measuring or 0.0,
            self.factory.start_answers,
        )

    @property
    def _measurable(self) -> list[str]:
        """What a shortlist is measured in, where there are trainings to spare by it."""
        if self._foretells or self.study.plan.measuring is None:
            return []
        return [t.name for t in self.assembly.tier("deployed") if t.searched or t.has_budget]

    def _sampler(self, seed: int) -> Any:
        chosen = self.study.config.sampler
        return self.plugins.create("sampler", chosen.name, chosen.options, given={"seed": seed})

    def _propose(self, proposer: Proposer, candidates: int) -> None:
        """Go on until so many candidates are paid for or time is up."""
        if self._paid() >= candidates:
            return
        self.enter("search", candidates, self._paid())
        self.advance(self._paid())
        left = self._end - time.monotonic() if self._end else None
        if left is None or left > 0:
            each_s = candidate_s(self.study, self.cluster.resources.concurrent)
            job = Job(
                worker("evaluate_candidate"),
                self.common,
                at_home=self._rooted,
                shortlist=worker("measure_shortlist"),
            )
            limits = Limits(candidates, left, each_s)
            search(proposer, job, self.cluster.resources, limits, self._callbacks())
        self._write_tables()
        if is_flat(self.health, self.study.config.budget.patience):
            self.viewer.note(flat(self.health))
        refuse_alike(self.health)

    def _callbacks(self) -> Callbacks:
        folder, patience = self.study.folder, self.study.config.budget.patience
        return Callbacks(
            self._heard,
            self._rivals,
            judge=self._rungs.judge if self._rungs else lambda record: record,
            stopped=lambda: self.cluster.stopping.asked,
            enough=lambda: over(self.health, patience),
            traces=lambda number: traces_of(traces_file(folder, number)),
            runs_s=lambda number: since(traces_file(folder, number)),
            hung_in_meter=self.cluster.hung_in_meter,
            note=self.viewer.note,
            on_cost=self.spending.heard,
        )

    def finish(self) -> None:
        """Train, compress, export and check what the front's best members ship."""
        study = self.study
        chosen = widest(study, study.config.budget.finalists)
        known = {finalist.id for finalist in study.finalists}
        ahead = [record for record in chosen if record.id not in known]
        self._tell_overruns()
        refuse_failure(study, chosen)
        if ahead and (teachers := len(study.teachers)) < study.config.train.check_teachers:
            self.viewer.note(f"train.check_teachers: {teachers} teach, no more were checked.")
        self.enter("finalists", len(chosen), len(study.finalists))
        job = self.job("finish_candidate")
        for index, result in self.cluster.map(job, [self._elected(r) for r in ahead]):
            if isinstance(result, Exception):
                why = words_of(result).rstrip(".")
                self.viewer.note(f"finalist {ahead[index].id} is lost: {why}. A resume makes it.")
            else:
                study.finalists.append(Finalist.from_json(result))
                study.finalists = picked(study.finalists, study.axes, study.axes_on)
                study.home.write_finalists(study.finalists)
            self.advance(len(study.finalists))
        study.taken = self.spending.close()
        if chosen and not study.finalists:
            raise OrchestratorError(
                f"no finalist could be shipped; the reasons are above. The search is kept: mend "
                f"them, then python -m orchestrator resume {study.folder}"
            )

    def _elected(self, record: Record) -> dict[str, Any]:
        """What a worker is told of one of them."""
        variants = [r for r in self.study.records if r.network == record.number]
        return {
            "record": record.to_json(),
            "variants": [replace(r, variants=()).to_json() for r in variants],
            "axes": [asdict(axis) for axis in self.study.axes],
            "fingerprints": dict(self.study.plan.fingerprints),
            "teachers": [genotype.to_json() for genotype in self.study.teachers],
        }

    def _heard(self, record: Record) -> None:
        health = self.health  # which knows all records so far, and not this one yet
        if self._rungs:
            drop_checkpoints(self.study.folder / "weights", record.genotype)
        self.study.records.append(record)
        for finding in health.see(record):
            self.viewer.note(finding.sentence)
        hook = "orchestrator_candidate_finished"
        notify(self.plugins, self.viewer, hook, study=self.study, record=record)
        self.advance(self._paid())
        if time.monotonic() > self._tables_at:
            self._write_tables()
            self._tell_overruns()

    def _tell_overruns(self) -> None:
        """Who held this machine's gate for too long, each once."""
        for text in self.factory.gate.overruns(self._since):
            if text not in self._overrun:
                self._overrun.add(text)
                self.viewer.note(text)

    @cached_property
    def health(self) -> Health:
        """Having seen what was known before; what stands from then was told then."""
        return Health.of(self.study.records, self.study.axes, self.study.units)

    @cached_property
    def _compared(self) -> Rivals:
        before = {target.name for target in self.assembly.tier("static", "deployed")}
        axes = [axis for axis in self.study.axes if axis.name in before]
        return Rivals(axes, self.study.config.train)

    def _rivals(self, proposal: Proposal) -> dict[str, Any]:
        """What a candidate is compared with while it trains."""
        found = {"rivals": self._compared.told(self.study.feasible)}
        return {**found, **self._rungs.payload(proposal.number)} if self._rungs else found

    @property
    def _rooted(self) -> bool:
        """Whether candidates need what lies in the run's folder; those that paused do."""
        folder, prepare = self.study.folder, type(self.assembly.estimator).prepare
        given = (folder / "teacher").is_dir() or start_file(folder).exists() or self._rungs
        return bool(given) or prepare is not Estimator.prepare

    def _paid(self) -> int:
        return self.study.ledger.paid

    def _write_tables(self) -> None:
        start = time.monotonic()
        self.study.write_tables()
        end = time.monotonic()
        self._tables_at = end + max(_TABLE_SECONDS, (end - start) / _TABLE_SHARE)


def worker(name: str) -> str:
    """The dotted name of a function that workers run."""
    return f"orchestrator.search.worker:{name}"
