"""Whether the estimates can be trusted: checked candidates, and what ranks without training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.analysis.agreement import Agreement, Correlation
from orchestrator.analysis.display import MISSING, label
from orchestrator.records import Check
from orchestrator.report.data import ReportData

__all__ = ["agreement"]

# Fewer candidates rank by chance.
LEAST = 6
# Of 20 unrelated orders, 19 have a tau within so many standard deviations.
CERTAIN = 1.96


def agreement(data: ReportData) -> dict[str, Any] | None:
    """For the page: points, taus and a table; None where too little is known to say anything."""
    objectives = [one for one in data.correlations if one.count >= LEAST and one.tau is not None]
    checked = Agreement.of(data.checks)
    if not checked.checks and not objectives:
        return None
    return {
        "points": [_point(check) for check in _usable(data.checks)],
        "taus": _taus(checked) if checked.checks else [],
        "advice": checked.advice,
        "objectives": [_row(correlation) for correlation in _ordered(objectives)],
    }


def _usable(checks: Sequence[Check]) -> list[Check]:
    """All lengths of training, the longer ones too."""
    return [check for check in checks if check.record.outcome != "failed" and check.record.curve]


def _point(check: Check) -> dict[str, Any]:
    # A check of an older run kept none; the candidate's own are those that compression left.
    macs = check.macs or check.record.values.get("macs")
    return {
        "number": check.number,
        "id": check.record.id,
        "estimated": check.estimated,
        "trained": check.trained,
        "epochs": check.epochs,
        "macs": macs if macs and math.isfinite(macs) else None,
    }


def _taus(checked: Agreement) -> list[dict[str, str]]:
    """The two figures and what each of them means."""
    plain, given, count = checked.tau, checked.tau_at_macs, len(checked.checks)
    return [
        {"label": "Kendall's tau", "value": _told(plain), "note": _plain_note(plain, count)},
        {"label": "at given MACs", "value": _told(given), "note": _given_note(given, count)},
    ]


def _plain_note(tau: float | None, count: int) -> str:
    if tau is None:
        return f"{_candidates(count)} cannot be ranked; it takes three that differ."
    return (
        f"Of two checked candidates the estimate names the better one in {_share(tau)} of cases. "
        f"That flatters: size alone gives a tau of 0.6 to 0.75.{_luck(tau, count)}"
    )


def _given_note(tau: float | None, count: int) -> str:
    if tau is None:
        return "What is known beyond size takes four candidates with different MACs."
    return (
        f"Once MACs have explained what they can, it is {_share(tau)}: what the estimate knows "
        f"beyond size, where half is a coin's toss.{_luck(tau, count)}"
    )


def _share(tau: float) -> str:
    """Of the pairs, those in the same order: ties aside, tau is what they have over the rest."""
    return f"{50 * (1 + tau):.0f}\u00a0%"


def _luck(tau: float, count: int) -> str:
    limit = _by_chance(count)
    if abs(tau) >= limit and limit < 1:
        return ""
    return f" Over {_candidates(count)} chance alone reaches ±{limit:.2f}."


def _by_chance(count: int) -> float:
    """The |tau| that 19 of 20 unrelated orders of so many candidates stay below (Kendall 1938)."""
    return min(1.0, CERTAIN * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1))))


def _ordered(correlations: Sequence[Correlation]) -> list[Correlation]:
    """By what is known beyond size, the most telling first."""
    return sorted(correlations, key=lambda one: (-abs(one.tau_at_macs or 0.0), -abs(one.tau or 0)))


def _row(one: Correlation) -> dict[str, Any]:
    return {
        "label": label(one.name),
        "tau": _cell(one.tau),
        "given": _cell(one.tau_at_macs),
        "count": one.count,
        "chance": f"±{_by_chance(one.count):.2f}",
    }


def _cell(tau: float | None) -> dict[str, Any]:
    return {"value": tau, "text": _told(tau)}


def _told(tau: float | None) -> str:
    return MISSING if tau is None else f"{tau:.2f}".replace("-", "−")


def _candidates(count: int) -> str:
    return f"{count} candidate{'' if count == 1 else 's'}"
