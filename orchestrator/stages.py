"""The stages of a search that need workers: teacher, search, finalists."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator import pareto
from orchestrator.candidate import Record
from orchestrator.display import human
from orchestrator.errors import OrchestratorError
from orchestrator.parts import Parts, draw
from orchestrator.plugins import Plugins, installed
from orchestrator.search.cluster import Cluster, Job
from orchestrator.search.loop import Limits, Observer, search
from orchestrator.search.proposer import Goals, Proposal, Proposer
from orchestrator.state import Screen, Study

__all__ = ["Stages", "notify", "worker"]

_TABLE_SECONDS = 5.0


@dataclass
class Stages:
    """The stages that need workers."""

    study: Study
    parts: Parts
    screen: Screen
    cluster: Cluster
    common: Mapping[str, Any]
    plugins: Plugins
    _tables_at: float = 0.0

    def teach(self) -> None:
        """Train the teacher, unless there is one or none is needed."""
        study = self.study
        if study.plan.teacher is None or (study.folder / "teacher").is_dir():
            return
        self.screen.stage("teacher", 1)
        job = Job(worker("train_teacher"), self.common)
        for _, result in self.cluster.map(job, [{"genotype": study.plan.teacher}]):
            if isinstance(result, Exception):
                raise OrchestratorError(f"the teacher cannot be trained: {result}") from result
            accuracy = human(result["validation_accuracy"], "share")
            self.screen.note(f"teacher: {accuracy} on validation")
        self.screen.step(study, 1)

    def search(self) -> None:
        """Propose and evaluate until the budget is spent."""
        study, config = self.study, self.study.config
        goals = Goals(study.axes, [t.name for t in self.parts.targets if t.has_budget])
        make = partial(installed().create, "sampler", config.sampler.name)
        proposer = Proposer(
            study.home.journal,
            goals,
            partial(draw, self.parts),
            lambda offset: make({**config.sampler.options, "seed": config.run.seed + offset}),
        )
        proposer.recover(study.home.results)
        if not proposer.records:
            for seed in study.plan.seeds:
                proposer.suggest_first(seed.choices, seed.name)
        study.records = [proposer.records[number] for number in sorted(proposer.records)]
        notify(self.plugins, self.screen, "orchestrator_search_started", study=study)
        self.screen.stage("search", config.budget.candidates)
        self.screen.step(study, self._paid())
        minutes = config.budget.minutes
        search(
            proposer,
            Job(worker("evaluate_candidate"), self.common),
            self.cluster.resources,
            Limits(config.budget.candidates, 60 * minutes if minutes else None),
            Observer(self._heard, self._rivals, lambda: self.cluster.stopping.asked),
        )
        self._write_tables()

    def finish(self) -> None:
        """Train, compress, export and check what the front's best members ship."""
        study = self.study
        chosen = self._chosen()
        known = {entry["id"] for entry in study.finalists}
        ahead = [record for record in chosen if record.id not in known]
        self.screen.stage("finalists", len(chosen))
        job = Job(worker("finish_candidate"), self.common)
        for index, result in self.cluster.map(job, [{"record": r.to_json()} for r in ahead]):
            if isinstance(result, Exception):
                self.screen.note(f"finalist {ahead[index].id} is lost: {result}")
            else:
                study.finalists.append(result)
                self._pick()
                study.home.write_finalists(study.finalists)
            self.screen.step(study, len(study.finalists))
        if chosen and not study.finalists:
            raise OrchestratorError(
                f"no finalist could be shipped; the reasons are above. The search is kept: mend "
                f"them, then python -m orchestrator resume {study.folder}"
            )

    def _chosen(self) -> list[Record]:
        feasible = self.study.feasible
        values = [record.values for record in feasible]
        indices = pareto.spread(values, self.study.axes, self.study.config.budget.finalists)
        return [feasible[index] for index in indices]

    def _pick(self) -> None:
        """Say which finalist suits which need; only recommended ones are picked."""
        for entry in self.study.finalists:
            entry["picks"] = []
        offered = [entry for entry in self.study.finalists if entry["recommended"]]
        picks = pareto.picks([entry["values"] for entry in offered], self.study.axes)
        for label, index in picks.items():
            offered[index]["picks"].append(label)

    def _heard(self, record: Record) -> None:
        self.study.records.append(record)
        hook = "orchestrator_candidate_finished"
        notify(self.plugins, self.screen, hook, study=self.study, record=record)
        self.screen.step(self.study, self._paid())
        if time.monotonic() - self._tables_at > _TABLE_SECONDS:
            self._write_tables()

    def _rivals(self, proposal: Proposal) -> dict[str, Any]:
        """What a candidate is compared with while it trains."""
        finished = [record for record in self.study.feasible if record.curve]
        return {"rivals": [[dict(record.values), list(record.curve)] for record in finished]}

    def _paid(self) -> int:
        return sum(record.paid for record in self.study.records)

    def _write_tables(self) -> None:
        self._tables_at = time.monotonic()
        self.study.write_tables()


def notify(plugins: Plugins, screen: Screen, hook: str, **arguments: Any) -> None:
    """Call an observer hook; a plugin that raises becomes a note."""
    for problem in plugins.notify(hook, **arguments):
        screen.note(f"plugin {problem.plugin}: {problem.message}")


def worker(name: str) -> str:
    """The dotted name of a function that workers run."""
    return f"orchestrator.search.worker:{name}"
