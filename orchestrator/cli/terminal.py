"""What a person sees in the terminal: the plan, one live line, the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.status import Status
from rich.table import Table

from orchestrator.analysis.display import MISSING, about, human, label
from orchestrator.analysis.pareto import leader
from orchestrator.cli.finalists import plain, show_finalists
from orchestrator.data import DataSummary
from orchestrator.errors import plural
from orchestrator.plugins import installed

if TYPE_CHECKING:
    from orchestrator.config import StudyConfig
    from orchestrator.plan.learning import Remaining, Taken
    from orchestrator.plan.planning import Plan
    from orchestrator.study import Study

__all__ = ["Terminal", "figure_table", "plan_tables"]

# More classes than these are told by their extremes.
_MOST_CLASSES = 20
# Where there is no terminal, so often a line tells that the search is alive.
_LINE_SECONDS = 15.0
# Of disk that is still to be filled, less is not told.
_LEAST_BYTES = 1000.0
# Columns that the whole of the live line takes, and with CPU, disk and memory.
_WIDE, _WIDEST = 130, 180


class Terminal:
    """Tables on standard output, the live line on standard error."""

    def __init__(self) -> None:
        self.out = Console(width=None if sys.stdout.isatty() else 200)
        self._live = Console(stderr=True)
        self._progress: Progress | None = None
        self._task: Any = None
        self._phase = ""
        self._total = 0
        self._line_at = 0.0

    def plan(self, config: StudyConfig, plan: Plan) -> None:
        """The checked plan."""
        for table in plan_tables(config, plan):
            self.out.print(table)
        self.out.print(forecast(plan))
        for text in plan.warnings:
            self.note(text)

    def phase(self, name: str, total: int) -> None:
        """Begin a stage with a progress bar of `total` steps."""
        self._close()
        self._phase, self._total = name, total
        if self._live.is_terminal:
            columns = (
                TextColumn("{task.description:<10}"),
                BarColumn(24 if self._wide else 12),
                TextColumn("{task.fields[line]}"),
            )
            self._progress = Progress(*columns, console=self._live, refresh_per_second=4)
            self._task = self._progress.add_task(name, total=total, line="")
            self._progress.start()

    def step(self, study: Study, done: int) -> None:
        """Move the live line."""
        line = f"{done}/{self._total}  {self._told(study)}{self._told_left(study.remaining)}"
        if self._progress is not None:
            self._progress.update(self._task, completed=done, line=line)
        elif time.monotonic() - self._line_at > _LINE_SECONDS or done >= self._total:
            self._line_at = time.monotonic()
            self._live.print(f"{self._phase}: {line}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark above the live line."""
        (self._progress.console if self._progress else self._live).print(
            f"[yellow]note[/yellow] {plain(text)}", highlight=False, soft_wrap=True
        )

    def working(self, doing: str) -> Status:
        """A context in which a spinner says what takes some seconds; nothing without a terminal."""
        plain = not self._live.encoding.startswith("utf")
        return self._live.status(doing, spinner="line" if plain else "dots")

    def result(self, study: Study) -> None:
        """The front's finalists and where everything lies."""
        self._close()
        show_finalists(study, self.out)
        self.out.print(plain(study.summary), highlight=False)
        if study.outlook:
            self.out.print(study.outlook, highlight=False)
        if study.taken:
            self.out.print(took(study.taken), highlight=False)
        self.out.print(f"Report: {plain(str(study.home.report))}", highlight=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._close()

    @property
    def _wide(self) -> bool:
        """Whether there is room for more than how far it is, the best and the time left."""
        return not self._live.is_terminal or self._live.width >= _WIDE

    def _told(self, study: Study) -> str:
        if self._phase != "search":
            return ""
        ledger = study.ledger
        told = "  ".join(f"{k} {n}" for k, n in ledger.counts.items() if k != "feasible")
        leading = leader(study.axes)
        own = sum(ledger.counts.values())
        files = f" in {plural(own, 'variant')}" if own > ledger.trainings else ""
        best = (
            human(ledger.best[leading.name], leading.unit)
            if leading.name in ledger.best
            else MISSING
        )
        if not self._wide:
            return f"best {best}  "
        return (
            f"done {ledger.trainings}{files}  {told}  front {ledger.front_size}  "
            f"hypervolume {ledger.hypervolume:.3f}  best {best}  "
        )

    def _told_left(self, left: Remaining | None) -> str:
        """Of the whole job: time, where there is room with its interval, then all else."""
        if left is None or left.seconds is None:
            return ""
        low, middle, high = map(_minutes, left.seconds)
        if not self._wide:
            return f"left {middle}"
        told = f"left {middle} ({low} to {high})"
        if self._live.is_terminal and self._live.width < _WIDEST:
            return told
        if left.cpu_seconds is not None:
            told += f"  CPU {_minutes(left.cpu_seconds[1])}"
        if left.disk_bytes is not None and left.disk_bytes[1] >= _LEAST_BYTES:
            told += f"  disk {human(left.disk_bytes[1], 'bytes')}"
        if left.memory_bytes is not None:
            told += f"  memory {human(left.memory_bytes[1], 'bytes')}"
        return told

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def took(taken: Taken) -> str:
    """What a search took, in one line."""
    parts = [
        human(max(taken.seconds, 1.0), "s"),
        f"{human(max(taken.cpu_seconds, 1.0), 's')} of CPU",
        *([f"{human(taken.memory_bytes, 'bytes')} of memory"] if taken.tasks else []),
        f"{human(max(taken.disk_bytes, 1.0), 'bytes')} of disk",
    ]
    return f"Took {', '.join(parts)}."


def forecast(plan: Plan) -> str:
    """The forecast in one line, of each figure what is expected and its interval."""
    if plan.forecast is None:
        minutes = human(max(plan.seconds, 1.0), "s")
        return f"Forecast: about {minutes} and {human(plan.disk_bytes, 'bytes')} of disk."
    found = plan.forecast
    parts = [
        about(found.seconds, "s"),
        f"{about(found.cpu_seconds, 's')} of CPU",
        f"{about(found.memory_bytes, 'bytes')} of memory",
        f"{about(found.disk_bytes, 'bytes')} of disk",
    ]
    return f"Forecast: {', '.join(parts)}; least and most as networks are small or large."


def plan_tables(config: StudyConfig, plan: Plan) -> list[Table]:
    """What will be searched, for what, and how it is compressed."""
    from orchestrator.plan.forecast import at_most

    facts = Table(show_header=False, box=None, pad_edge=False)
    size = (
        f"about {plan.space_size:.1e} genotypes"
        if plan.space_size > 1e4
        else f"about {plural(round(plan.space_size), 'genotype')}"
    )
    for name, text in {
        "space": f"{config.space.name}, {size}; named points first: "
        + (", ".join(seed.name for seed in plan.seeds) or "none"),
        **({"within budgets": plan.within.sentence} if plan.within else {}),
        **_weights(plan),
        "dataset": config.dataset.name,
        **_images(plan),
        **_devices(plan),
        "compressors": plan.compression or " → ".join(config.compressor) or "none",
        **({"variants": plan.variants} if plan.variants else {}),
        "estimator": _described("estimator", config.estimator.name),
        "sampler": f"{config.sampler.name}, {plural(config.budget.candidates, 'candidate')}, "
        f"then at most {plural(at_most(config, config.budget.finalists), 'finalist')}"
        + (
            f", each the best of {plural(config.budget.seeds, 'seed')}"
            if config.budget.seeds > 1
            else ""
        ),
    }.items():
        facts.add_row(f"[bold]{name}[/bold]", plain(text))
    tables = [facts, *_class_table(plan), _objective_table(config, plan)]
    return [*tables, _unchanged_table(plan.unchanged)] if plan.unchanged else tables


def _weights(plan: Plan) -> dict[str, str]:
    """What networks start from, where that is not noise."""
    from orchestrator.pretrained.prospect import Prospect

    return {"weights": Prospect(**plan.start).sentence} if plan.start else {}


def _images(plan: Plan) -> dict[str, str]:
    """How many images there are, and what was left out; nothing for a plan that does not tell."""
    if plan.data is None:
        return {}
    found = DataSummary.from_json(plan.data)
    lost = "; ".join(f"{count:,} {why}" for why, count in found.left_out.items())
    return {"images": found.told, **({"left out": lost} if lost else {})}


def _class_table(plan: Plan) -> list[Table]:
    """Images a class and a split, classes with few first where they are many."""
    found = DataSummary.from_json(plan.data) if plan.data else None
    if found is None or not found.by_class:
        return []
    table = Table("class", *found.by_class, box=None, pad_edge=False)
    rows = list(zip(found.classes, *found.by_class.values(), strict=True))
    ends = len(rows) > _MOST_CLASSES
    ordered = sorted(rows, key=lambda row: row[1]) if ends else rows
    half = _MOST_CLASSES // 2
    for row in [*ordered[:half], *ordered[-half:]] if ends else ordered:
        table.add_row(*(plain(str(cell)) for cell in row))
    if ends:
        table.caption = (
            f"the {half} smallest and the {half} largest of {plural(len(rows), 'class')}"
        )
    return [table]


def _devices(plan: Plan) -> dict[str, str]:
    """Each device's name and what a latency on it depends on."""
    shown = {name: ", ".join(found.values()) for name, found in plan.fingerprints.items()}
    if len(shown) == 1:
        return {"device": ", ".join([*shown, *shown.values()])}
    return {f"device {name}": text for name, text in shown.items()}


def _described(family: str, name: str) -> str:
    """A part's name, and what its plugin says of it."""
    offered = installed().offered(family).get(name)
    return f"{name}: {offered.offer.summary}" if offered else name


def _objective_table(config: StudyConfig, plan: Plan) -> Table:
    from orchestrator.study.study import objective_units

    axes = {axis.name: axis for axis in plan.axes}
    units = objective_units(config, plan, installed())
    table = Table(
        "objective", "direction", "unit", "budget", "seen in the space", box=None, pad_edge=False
    )
    for name, item in config.objective.items():
        axis = axes.get(name)
        unit = units[name]
        low, high = plan.ranges.get(name, (None, None))
        seen = (
            f"{human(low, unit)} … {human(high, unit)}"
            if low is not None and high is not None
            else ""
        )
        table.add_row(
            label(name),
            axis.direction if axis else "reported only",
            unit,
            _budget(item.min, item.max, unit),
            seen,
        )
    return table


def _unchanged_table(unchanged: Mapping[str, str]) -> Table:
    """What the space leaves as it is, layers with one reason in one row."""
    layers: dict[str, list[str]] = {}
    for name, reason in unchanged.items():
        layers.setdefault(reason, []).append(name)
    table = Table("not searched", "why", box=None, pad_edge=False)
    for reason, names in layers.items():
        table.add_row(plain(", ".join(names)), plain(reason))
    return table


def _budget(low: float | None, high: float | None, unit: str) -> str:
    parts = [f"≥ {human(low, unit)}"] if low is not None else []
    parts += [f"≤ {human(high, unit)}"] if high is not None else []
    return ", ".join(parts) or "–"


def figure_table(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """Rows of figures by name, for `pick` and `networks`."""
    table = Table(*names, box=None, pad_edge=False)
    for entry in entries:
        table.add_row(*(plain(str(entry.get(name, "–"))) for name in names))
    return table
