"""A search and what is known of it: what observers, the screen and the report read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from orchestrator.analysis.agreement import Agreement, Correlation, correlate
from orchestrator.analysis.display import (
    MISSING,
    counted,
    human,
    label,
    needs,
    on_test,
    timed,
    unit_of,
)
from orchestrator.analysis.health import Finding, Health, lopsided, unranked
from orchestrator.analysis.ledger import Ledger
from orchestrator.analysis.more_budget import gain_of_doubling, rise
from orchestrator.analysis.remeasured import Remeasured
from orchestrator.config import StudyConfig
from orchestrator.contracts import Axis
from orchestrator.errors import PluginError, plural
from orchestrator.faults.masking import masked
from orchestrator.plan.learning import Remaining, Taken
from orchestrator.plan.planning import Plan
from orchestrator.plugins import Plugins, version_of
from orchestrator.pretrained.starting import credit_of
from orchestrator.records import Check, Credit, Finalist, Genotype, Record, ShippedFile
from orchestrator.study.run_folder import RunFolder

__all__ = ["Study", "Viewer", "notify", "objective_units"]


@dataclass
class Study:
    """A search and what is known of it; observers read this.

    `records` are appended to, or replaced by another list. `plugins` are asked for what the
    configuration names, and only where that is wanted: a search is read without the plugins that
    made it.
    """

    config: StudyConfig
    home: RunFolder
    plan: Plan
    plugins: Plugins
    overrides: Sequence[str] = ()
    records: list[Record] = field(default_factory=list)
    finalists: list[Finalist] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    remeasured: Remeasured = field(default_factory=Remeasured)
    # What the search has yet to take, while it runs, and what it took once it is over.
    remaining: Remaining | None = None
    taken: Taken | None = None
    _ledger: Ledger | None = field(default=None, init=False, repr=False, compare=False)
    _counted: list[Record] | None = field(default=None, init=False, repr=False, compare=False)

    def learn(self, checks: Sequence[Check]) -> None:
        """Take what further training told; a candidate is what its longest training says."""
        known = {(check.epochs, check.number): check for check in (*checks, *self.checks)}
        self.checks = [known[key] for key in sorted(known)]
        latest = {(c.number, r.genotype.key): r for c in self.checks for r in _told(c)}
        self.records = self.remeasured.applied(
            _renumbered(latest.get((record.training, record.genotype.key), record), record)
            for record in self.records
        )

    def take(self, remeasured: Remeasured) -> None:
        """Let latencies that were measured in one session count, now and after what is learnt."""
        self.remeasured = remeasured
        self.records = remeasured.applied(self.records)

    @property
    def agreement(self) -> Agreement:
        """How far the estimator can be trusted, by all candidates' first further training."""
        return Agreement.of(self.checks)

    @property
    def teachers(self) -> list[Genotype]:
        """The best of those that were trained further, as many as teach finalists; each once."""
        best = sorted(self.checks, key=lambda check: (check.trained, check.epochs), reverse=True)
        each = {check.record.genotype.plain().key: check.record.genotype for check in best}
        return list(each.values())[: self.config.train.check_teachers]

    @property
    def correlations(self) -> list[Correlation]:
        """How well each static objective ranks what is known so far of the leading metric.

        A checked candidate counts with what it was trained to. What was predicted from static
        objectives does not count: it agrees with them by construction.
        """
        known = [record for record in self.records if record.network is None]
        if self.plugins.resolve("estimator", self.config.estimator.name).predicts:
            trained = {check.number for check in self.agreement.checks}
            # An estimator that may predict and may train says of each record what it did.
            known = [r for r in known if r.number in trained or r.extra.get("predicted") is False]
        return correlate(known, self.plan.ranges, self.leading)

    @property
    def leading(self) -> str:
        """The name of the task's leading metric, a share."""
        return self.plan.leading

    @property
    def units(self) -> dict[str, str]:
        """The unit of each objective of the configuration, searched for or only reported."""
        return objective_units(self.config, self.plan, self.plugins)

    @property
    def name(self) -> str:
        """What people call the search."""
        return f"{self.config.space.name} on {self.config.dataset.name}"

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.home.path

    @property
    def axes(self) -> Sequence[Axis]:
        """The searched objectives."""
        return self.plan.axes

    @property
    def axes_on(self) -> dict[str, list[Axis]]:
        """By device the searched objectives that count there: all but what others measure."""
        placed = placed_objectives(self.config, self.plugins)
        return {
            device: [axis for axis in self.axes if placed.get(axis.name, device) == device]
            for device in self.config.device
        }

    @property
    def ledger(self) -> Ledger:
        """What the records come to; what was counted before is not counted again."""
        if self._ledger is None or self._counted is not self.records:
            self._ledger, self._counted = Ledger(self.axes), self.records
        for record in self.records[len(self._ledger) :]:
            self._ledger.add(record)
        return self._ledger

    @property
    def feasible(self) -> list[Record]:
        """Candidates that keep every budget."""
        return self.ledger.feasible

    @property
    def front(self) -> list[Record]:
        """The feasible candidates that no other dominates."""
        return self.ledger.front

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the search as a whole, by all that is known of it."""
        standing = Health.of(self.records, self.axes, self.units).standing
        even = (lopsided(finalist) for finalist in self.finalists)
        found = [*standing, unranked(self.agreement), *even]
        return [finding for finding in found if finding is not None]

    def write_tables(self) -> None:
        """candidates.csv and front.csv, by number, of what is known."""
        ordered = sorted(self.records, key=lambda record: record.number)
        front = [record.number for record in self.front]
        estimated = {check.number: check.estimated for check in self.checks}
        self.home.write_tables(ordered, front, (f"estimated_{self.leading}", estimated))

    @property
    def hypervolume(self) -> float:
        """Of the feasible candidates, in [0, 1]."""
        return self.ledger.hypervolume

    @property
    def outlook(self) -> str:
        """What twice as many candidates would add, in words; empty where nobody can say yet."""
        ordered = sorted(self.records, key=lambda r: (not r.earlier, r.finished_at, r.number))
        gain = gain_of_doubling(rise(ordered, self.axes))
        return gain.sentence if gain else ""

    @property
    def start(self) -> Credit | None:
        """Whom the weights are owed to that networks start from; None where that is noise."""
        return credit_of(self.folder) if self.config.weights else None

    @property
    def tags(self) -> dict[str, str]:
        """What tells searches apart."""
        config = self.config
        groups = ("space", "dataset", "estimator", "sampler")
        chosen = {group: str(getattr(config, group).name) for group in groups}
        chosen["device"] = ", ".join(config.device)
        return {
            **chosen,
            **(self.start.labels if self.start else {}),
            "compressors": ", ".join(config.compressor) or "none",
            "folder": self.folder.resolve().name,
            "version": version_of("pareto-orchestrator"),
        }

    @property
    def _earlier(self) -> list[str]:
        """Names of the runs that the search started from."""
        return [Path(path).name for path in self.config.sampler.history]

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
            **(self.start.labels if self.start else {}),
            **({"history": ", ".join(self._earlier)} if self._earlier else {}),
            **budgets,
        }

    @property
    def command(self) -> str:
        """The command line that repeats it."""
        return " ".join(["python -m orchestrator", *map(masked, self.overrides)])

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        told = ", ".join(f"{n} {k}" for k, n in self.ledger.counts.items() if n)
        front = len(self.front)
        trained, all_ = self.ledger.trainings, sum(self.ledger.counts.values())
        more = f" in {plural(all_, 'variant')}" if all_ > trained else ""
        text = f"{plural(trained, 'candidate')}{more} ({told or 'none yet'}), {front} on the front"
        if self.ledger.earlier:
            earlier = plural(self.ledger.earlier, "candidate")
            text += f", {earlier} of earlier runs among what is known"
        name = f"test_{self.leading}"
        if not self.finalists:
            return f"{text}."
        best = max(self.finalists, key=lambda each: each.validated(self.leading))
        known = "Most accurate finalist"
        if self.leading != "accuracy":
            known = f"Finalist with the highest {label(self.leading)}"
        images = best.figures.get("test_images")
        reached = counted(best.figures[name], images)
        reached += f" of {plural(images, 'test image')}" if images else " on test"
        lead = next((file for file in best.files if file.label == best.label), None)
        latency = human(best.figures["latency_ms"], "ms")
        if lead is not None and lead.latency is not None:
            latency = timed(lead.latency)
        size = human(best.figures["size_bytes"], "bytes")
        file = f" ({best.label})" if best.label else ""
        alike = ", ".join(lead.rivals.get("most accurate", ())) if lead else ""
        more = f" Not distinguishable from {alike}." if alike else ""
        return f"{text}. {known}: {reached}, {latency}, {size}{file}.{more}"

    @property
    def summary_markdown(self) -> str:
        """The summary, then a table of what finalists ship: of each the recommended files."""
        if not self.finalists:
            return self.summary
        name = f"test_{self.leading}"
        heads = ["finalist", "file", "picks", label(name), "latency", "size"]
        rows = [heads, ["---"] * len(heads)]
        for entry in self.finalists:
            shipped = [file for file in entry.files if file.recommended]
            rows += [_file_cells(entry, file) for file in shipped] or [_cells(entry, name)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return f"**{self.summary}**\n\n{table}"


def objective_units(config: StudyConfig, plan: Plan, plugins: Plugins) -> dict[str, str]:
    """The unit of each objective; where its plugin is gone, the one that its name ends with."""
    known = {axis.name: axis.unit for axis in plan.axes}
    for key, item in config.objective.items():
        if key not in known:
            try:
                known[key] = str(plugins.resolve("objective", item.name).unit)
            except PluginError:
                known[key] = unit_of(key)
    return known


def placed_objectives(config: StudyConfig, plugins: Plugins) -> dict[str, str]:
    """The device of each objective that is measured on one.

    Where its plugin is gone, that of the configuration alone.
    """
    first = next(iter(config.device))
    found = {}
    for key, item in config.objective.items():
        try:
            measured = plugins.resolve("objective", item.name).tier == "deployed"
        except PluginError:
            measured = bool(item.device)
        if measured:
            found[key] = item.device or first
    return found


def _renumbered(found: Record, before: Record) -> Record:
    """What was found of a candidate, under the number that it has in the search."""
    if found is before:
        return before
    kept = replace(found, number=before.number, network=before.network, variants=())
    return replace(kept, earlier=before.earlier)


def _told(check: Check) -> list[Record]:
    """What a check says of the candidate and its variants; those that failed it stay as known."""
    return [r for r in (check.record, *check.record.variants) if r.outcome != "failed"]


class Viewer(Protocol):
    """What shows a study to a person; the terminal's is in `orchestrator.cli.terminal`."""

    def plan(self, config: StudyConfig, plan: Plan) -> None:
        """Before anything is paid for."""

    def phase(self, name: str, total: int) -> None:
        """A stage of the story begins; `total` steps are ahead."""

    def step(self, study: Study, done: int) -> None:
        """Something of the stage is done."""

    def note(self, text: str) -> None:
        """A warning or a remark."""

    def result(self, study: Study) -> None:
        """The end."""


def notify(plugins: Plugins, viewer: Viewer, hook: str, **arguments: Any) -> None:
    """Call an observer hook; a plugin that raises becomes a note."""
    for problem in plugins.notify(hook, **arguments):
        viewer.note(f"plugin {problem.plugin}: {problem.message}")


def _file_cells(entry: Finalist, file: ShippedFile) -> list[str]:
    images = entry.figures.get("test_images")
    return [
        entry.id,
        f"{file.label} ({file.runtime})",
        ", ".join(needs(file.picks, file.rivals)) or MISSING,
        counted(file.reached, images),
        timed(file.latency) if file.latency else MISSING,
        human(file.size_bytes, "bytes"),
    ]


def _cells(entry: Finalist, name: str) -> list[str]:
    """Of one none of whose files is recommended, or that was one file in a run of old."""
    figures = entry.figures
    return [
        entry.id,
        entry.label or MISSING,
        ", ".join(entry.picks) or MISSING,
        on_test(figures, name),
        human(figures["latency_ms"], "ms"),
        human(figures["size_bytes"], "bytes"),
    ]
