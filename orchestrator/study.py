"""The story, top to bottom: plan → teacher → search → finalists → result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from orchestrator import pareto
from orchestrator.candidate import Record
from orchestrator.config import StudyConfig, flat_config
from orchestrator.display import human
from orchestrator.errors import Interrupted, OrchestratorError, RunError
from orchestrator.gate import host_gate
from orchestrator.parts import Parts, draw
from orchestrator.pipeline import Pipeline
from orchestrator.planning import Plan, make_plan
from orchestrator.plugins import Plugins, installed
from orchestrator.report import ReportData, build_report
from orchestrator.run_folder import RunFolder
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.journal import exclusive
from orchestrator.search.loop import Limits, Observer, search
from orchestrator.search.proposer import Goals, Proposal, Proposer, read_records
from orchestrator.tracking import Tracker

__all__ = ["Screen", "Study", "load", "plan_of", "resume", "run", "write_report"]

_TABLE_SECONDS = 5.0
_TRACKING_SECONDS = 90.0


class Screen(Protocol):
    """What shows a study to a person; the terminal's is in `orchestrator.screen`."""

    def plan(self, config: StudyConfig, plan: Plan) -> None:
        """Before anything is paid for."""

    def stage(self, name: str, total: int) -> None:
        """A stage of the story begins; `total` steps are ahead."""

    def step(self, study: Study, done: int) -> None:
        """Something of the stage is done."""

    def note(self, text: str) -> None:
        """A warning or a remark."""

    def result(self, study: Study) -> None:
        """The end."""


@dataclass
class Study:
    """A search and what is known of it; observers read this."""

    config: StudyConfig
    folder_: RunFolder
    plan: Plan
    overrides: Sequence[str] = ()
    records: list[Record] = field(default_factory=list)
    finalists: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's name, that of its folder."""
        return self.folder_.path.resolve().name

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.folder_.path

    @property
    def axes(self) -> Sequence[pareto.Axis]:
        """The searched objectives."""
        return self.plan.axes

    @property
    def feasible(self) -> list[Record]:
        """Candidates that keep every budget."""
        return [record for record in self.records if record.outcome == "feasible"]

    @property
    def front(self) -> list[Record]:
        """The feasible candidates that no other dominates."""
        feasible = self.feasible
        members = pareto.front([record.values for record in feasible], self.axes)
        return [feasible[index] for index in members]

    @property
    def hypervolume(self) -> float:
        """Of the feasible candidates, in [0, 1]."""
        return pareto.hypervolume([record.values for record in self.feasible], self.axes)

    @property
    def tags(self) -> dict[str, str]:
        """What tells searches apart."""
        config = self.config
        groups = ("space", "dataset", "device", "estimator", "sampler")
        chosen = {group: str(getattr(config, group).name) for group in groups}
        return {**chosen, "compressors": ", ".join(config.compressor) or "none"}

    @property
    def params(self) -> dict[str, Any]:
        """Settings of the search, few and short."""
        config = self.config
        budgets = {
            f"{name}.{end}": value
            for name, item in config.objective.items()
            for end in ("min", "max")
            if (value := getattr(item, end)) is not None
        }
        return {
            "candidates": config.budget.candidates,
            "epochs": config.train.epochs,
            "final_epochs": config.train.final_epochs,
            "seed": config.run.seed,
            **budgets,
        }

    @property
    def command(self) -> str:
        """The command line that repeats it."""
        return " ".join(["python -m orchestrator", *self.overrides])

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        counts = {k: sum(r.outcome == k for r in self.records) for k in _OUTCOMES}
        told = ", ".join(f"{n} {k}" for k, n in counts.items() if n)
        front = len(self.front)
        text = f"{len(self.records)} candidates ({told or 'none yet'}), {front} on the front"
        best = max(self.finalists, key=lambda f: f["figures"]["test_accuracy"], default=None)
        if best is None:
            return f"{text}."
        accuracy = human(best["figures"]["test_accuracy"], "share")
        latency = human(best["figures"]["latency_ms"], "ms")
        size = human(best["figures"]["size_bytes"], "bytes")
        return f"{text}. Most accurate finalist: {accuracy} on test, {latency}, {size}."

    @property
    def summary_markdown(self) -> str:
        """The summary, then a table of the finalists."""
        if not self.finalists:
            return self.summary
        head = "| finalist | picks | test accuracy | latency | size |\n|---|---|---|---|---|\n"
        return f"**{self.summary}**\n\n{head}" + "\n".join(map(_markdown_row, self.finalists))


_OUTCOMES = ("feasible", "rejected", "stopped", "failed")


def plan_of(config: StudyConfig) -> Plan:
    """Check a search without starting it; raises UsageError."""
    return make_plan(Pipeline(config, _run_path(config, None), host_gate()), _concurrent(config))


def run(config: StudyConfig, folder: Path, overrides: Sequence[str], screen: Screen) -> Study:
    """A whole search; raises UsageError before anything is paid for, Interrupted on Ctrl-C."""
    home = RunFolder(folder)
    if home.journal.exists():
        raise RunError(
            f"{folder} holds a search already. Go on with it by `python -m orchestrator resume "
            f"{folder}`, or choose another run.dir."
        )
    pipeline = Pipeline(config, folder, host_gate())
    plan = make_plan(pipeline, _concurrent(config))
    screen.plan(config, plan)
    home.start(config, plan, overrides)
    return _tell(Study(config, home, plan, overrides), pipeline.parts, screen)


def resume(folder: Path, screen: Screen) -> Study:
    """Go on where a search stopped, from what its folder holds; raises RunError."""
    study = load(folder)
    parts = Pipeline(study.config, folder, host_gate()).parts
    screen.plan(study.config, study.plan)
    return _tell(study, parts, screen)


def load(folder: Path) -> Study:
    """A study as its folder tells it; raises RunError."""
    home = RunFolder(folder)
    config, plan, overrides = home.config(), home.plan(), home.overrides()
    records = read_records(home.journal)
    return Study(config, home, plan, overrides, records, home.finalists())


def write_report(study: Study) -> Path:
    """The tables and the HTML report of what is known; returns the report's path."""
    study.folder_.write_tables(study.records, [record.number for record in study.front])
    targets = study.config.objective
    reported = [name for name in targets if name not in {axis.name for axis in study.axes}]
    units = {name: _unit(study.config, name) for name in reported}
    data = ReportData(
        title=study.name,
        summary=study.summary,
        records=study.records,
        axes=study.axes,
        reported=list(units.items()),
        finalists=study.finalists,
        plan=flat_config(study.config),
        command=study.command,
        environment={**study.plan.fingerprint, **_versions(study.folder_.environment())},
    )
    build_report(study.folder_.report, data)
    return study.folder_.report


def _tell(study: Study, parts: Parts, screen: Screen) -> Study:
    """The story itself, the folder held against other processes."""
    plugins = installed()
    default_store = study.folder.parent / "mlflow.db"
    tracker = Tracker(study.config.tracking, default_store.resolve(), screen.note)
    plugins.manager.register(tracker, name="tracking")
    try:
        with exclusive(study.folder), Cluster(_resources(study.config)) as cluster:
            common = {"config": json.dumps(flat_config(study.config)), "folder": str(study.folder.resolve())}
            cluster.start_meter(Job(_worker("measuring_device"), common), study.plan.reference_ms)
            common |= {"meter": cluster.meter_name, "reference_ms": cluster.reference_ms}
            stages = _Stages(study, parts, screen, cluster, common, plugins)
            stages.teach()
            stages.search()
            stages.finish()
        write_report(study)
        _notify(plugins, screen, "orchestrator_search_finished", study=study, front=study.front)
        screen.result(study)
    except KeyboardInterrupt:
        write_report(study)
        raise Interrupted(
            f"stopped; everything known is in {study.folder}. Go on with: "
            f"python -m orchestrator resume {study.folder}"
        ) from None
    finally:
        tracker.close(_TRACKING_SECONDS)
        plugins.manager.unregister(name="tracking")
    return study


@dataclass
class _Stages:
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
        job = Job(_worker("train_teacher"), self.common)
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
            study.folder_.journal,
            goals,
            partial(draw, self.parts),
            lambda offset: make({**config.sampler.options, "seed": config.run.seed + offset}),
        )
        proposer.recover(study.folder_.results)
        if not proposer.records:
            for seed in study.plan.seeds:
                proposer.suggest_first(seed.choices, seed.name)
        study.records = [proposer.records[number] for number in sorted(proposer.records)]
        _notify(self.plugins, self.screen, "orchestrator_search_started", study=study)
        self.screen.stage("search", config.budget.candidates)
        self.screen.step(study, _paid(study.records))
        minutes = config.budget.minutes
        search(
            proposer,
            Job(_worker("evaluate_candidate"), self.common),
            self.cluster.resources,
            Limits(config.budget.candidates, 60 * minutes if minutes else None),
            Observer(self._heard, self._rivals),
        )
        self._write_tables()

    def finish(self) -> None:
        """Train, compress, export and check what the front's best members ship."""
        study = self.study
        chosen = self._chosen()
        known = {entry["id"] for entry in study.finalists}
        ahead = [record for record in chosen if record.id not in known]
        self.screen.stage("finalists", len(chosen))
        job = Job(_worker("finish_candidate"), self.common)
        for index, result in self.cluster.map(job, [{"record": r.to_json()} for r in ahead]):
            if isinstance(result, Exception):
                self.screen.note(f"finalist {ahead[index].id} is lost: {result}")
            else:
                study.finalists.append(result)
                self._pick()
                study.folder_.write_finalists(study.finalists)
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
        problems = self.plugins.notify(
            "orchestrator_candidate_finished", study=self.study, record=record
        )
        for problem in problems:
            self.screen.note(f"plugin {problem.plugin}: {problem.message}")
        self.screen.step(self.study, _paid(self.study.records))
        if time.monotonic() - self._tables_at > _TABLE_SECONDS:
            self._write_tables()

    def _rivals(self, proposal: Proposal) -> dict[str, Any]:
        """What a candidate is compared with while it trains."""
        finished = [record for record in self.study.feasible if record.curve]
        return {"rivals": [[dict(record.values), list(record.curve)] for record in finished]}

    def _write_tables(self) -> None:
        self._tables_at = time.monotonic()
        front = [record.number for record in self.study.front]
        self.study.folder_.write_tables(self.study.records, front)


def _notify(plugins: Plugins, screen: Screen, hook: str, **arguments: Any) -> None:
    for problem in plugins.notify(hook, **arguments):
        screen.note(f"plugin {problem.plugin}: {problem.message}")


def _paid(records: Sequence[Record]) -> int:
    return sum(r.outcome != "rejected" or bool(r.extra.get("trained")) for r in records)


def _worker(name: str) -> str:
    return f"orchestrator.search.worker:{name}"


def _concurrent(config: StudyConfig) -> int:
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.budget.concurrent or max(1, cores // config.train.threads)


def _resources(config: StudyConfig) -> Resources:
    return Resources(
        concurrent=_concurrent(config),
        threads=config.train.threads,
        device=config.device.name,
        address=config.run.address,
    )


def _run_path(config: StudyConfig, folder: Path | None) -> Path:
    return folder or Path(config.run.dir or ".")


def _unit(config: StudyConfig, name: str) -> str:
    return str(installed().resolve("objective", config.objective[name].name).unit)


def _versions(environment: Mapping[str, str]) -> dict[str, str]:
    shown = ("python", "system", "pareto-orchestrator", "torch", "onnxruntime", "optuna", "ray")
    return {name: environment[name] for name in shown if name in environment}


def _markdown_row(entry: Mapping[str, Any]) -> str:
    figures = entry["figures"]
    cells = [
        entry["id"],
        ", ".join(entry["picks"]) or "–",
        human(figures["test_accuracy"], "share"),
        human(figures["latency_ms"], "ms"),
        human(figures["size_bytes"], "bytes"),
    ]
    return f"| {' | '.join(cells)} |"
