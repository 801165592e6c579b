"""How far an approximate estimator can be trusted: its figures against further training.

A few candidates are trained further than their estimate. Kendall's tau between the two says how
well the estimate ranks; the tau at given multiply-adds says whether it knows more than that
larger networks are better, which alone gives 0.6 to 0.75. Objectives of the untrained network are
asked the same: what does their order say about the leading metric, as far as it is known?
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.analysis.ranking import kendall, kendall_at
from orchestrator.errors import plural
from orchestrator.files import reading
from orchestrator.records import Check, Record

__all__ = ["Agreement", "Correlation", "correlate", "read_checks"]

_POOR = 0.2
# Fewer points say too little to advise anything.
_ENOUGH = 6
# Kendall's tau costs the square of these: 0.1 s an objective.
_MOST = 1000


@dataclass(frozen=True)
class Agreement:
    """What checks of one length of training say together."""

    checks: Sequence[Check] = ()

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Agreement:
        """By each candidate's shortest further training, which all checked candidates had.

        Without those that failed, or that broke a budget before they were trained.
        """
        first: dict[int, Check] = {}
        for check in sorted(checks, key=lambda check: (check.number, check.epochs)):
            first.setdefault(check.number, check)
        return cls([c for c in first.values() if c.record.outcome != "failed" and c.record.curve])

    @property
    def tau(self) -> float | None:
        """Kendall's tau-b in [-1, 1]; None below three checks."""
        return kendall([c.estimated for c in self.checks], [c.trained for c in self.checks])

    @property
    def tau_at_macs(self) -> float | None:
        """The same of what multiply-adds do not explain; None where they are not known."""
        known = [check for check in self.checks if check.macs > 0]
        return kendall_at(
            [check.estimated for check in known],
            [check.trained for check in known],
            [check.macs for check in known],
        )

    @property
    def sentence(self) -> str:
        """What the user is told, advice included where the ranking is poor."""
        count = len(self.checks)
        text = (
            f"estimates against further training: Kendall's tau {_told(self.tau)}, "
            f"{_told(self.tau_at_macs)} at given MACs, over {plural(count, 'candidate')}"
        )
        return f"{text}. {self.advice}" if self.advice else f"{text}."

    @property
    def advice(self) -> str:
        """Empty unless there are enough checks and they agree little."""
        tau, given = self.tau, self.tau_at_macs
        worst = min((t for t in (tau, given) if t is not None), default=None)
        if worst is None or worst >= _POOR or len(self.checks) < _ENOUGH:
            return ""
        return (
            "That is poor: among networks of equal cost the estimate hardly knows the better one. "
            "Pay more for it (estimator.epochs of shared weights, estimator.anchors of a proxy), "
            "train more candidates further (budget.checked), or use estimator=train."
        )


@dataclass(frozen=True)
class Correlation:
    """How well one objective ranks a metric: Kendall's tau-b over `count` candidates.

    Above 0, the metric rises with the objective. None where nothing can be said; at given
    multiply-adds that is so for whatever multiply-adds explain entirely.
    """

    name: str
    tau: float | None
    tau_at_macs: float | None
    count: int


def correlate(
    records: Iterable[Record], names: Iterable[str], metric: str = "accuracy"
) -> list[Correlation]:
    """Objectives by name against `metric` in `values`, of feasible and rejected candidates.

    Objectives of which nothing is known are left out. A long search counts by its latest 1000
    candidates. Figures that are all positive are compared with multiply-adds by their logarithms:
    counts grow with one another's powers, which no straight line explains. Cost: below 0.2 s an
    objective.
    """
    known = [r for r in records if r.outcome in ("feasible", "rejected") and _known(r, metric)]
    latest = sorted(known, key=lambda record: record.number)[-_MOST:]
    found = (_correlation(name, metric, [r for r in latest if _known(r, name)]) for name in names)
    return [correlation for correlation in found if correlation.count]


def read_checks(folder: Path) -> list[Check]:
    """All checks of a run, shortest training first; a file that was never finished is no check."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            told = json.loads(path.read_text())
        except (OSError, ValueError):  # of a worker that was killed
            continue
        with reading(path):
            found.append(Check.from_json(told))
    return sorted(found, key=lambda check: (check.epochs, check.number))


def _correlation(name: str, metric: str, records: Sequence[Record]) -> Correlation:
    values = [record.values[name] for record in records]
    reached = [record.values[metric] for record in records]
    macs = [record.values.get("macs", math.nan) for record in records]
    bent = [math.log(value) for value in values] if min(values, default=0.0) > 0 else values
    given = kendall_at(bent, reached, macs)
    return Correlation(name, kendall(values, reached), given, len(records))


def _known(record: Record, name: str) -> bool:
    return math.isfinite(record.values.get(name, math.nan))


def _told(tau: float | None) -> str:
    return "unknown" if tau is None else f"{tau:.2f}"
