"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.analysis.agreement import Correlation
from orchestrator.analysis.health import Finding
from orchestrator.contracts.objective import Axis
from orchestrator.data import Strip
from orchestrator.records import Check, Credit, Finalist, Record

__all__ = ["ReportData"]


@dataclass(frozen=True)
class ReportData:
    """A search and its result, as plain data; any part may be empty.

    `summary` is plain text and leads the page. `reported` are further columns (name, unit), found
    in a record's `values` or `extra`. A finalist's figure called `latency_fp32_ms` is shown as what
    `latency_ms` was before compression. `plan` is the configuration and may be nested. `checks` are
    the candidates that were trained further than their estimate, `correlations` how well objectives
    of the untrained network rank what is known of `leading`, the metric that leads. `start` says
    whom the weights are owed to that networks started from. `findings` are what is wrong with the
    search as a whole, `outlook` what a larger budget would buy, `warnings` what was said before it,
    `images` what images there are, as a `DataSummary`, and `strips` shows some.
    """

    title: str
    summary: str
    records: Sequence[Record]
    axes: Sequence[Axis]
    reported: Sequence[tuple[str, str]] = ()
    finalists: Sequence[Finalist] = ()
    checks: Sequence[Check] = ()
    correlations: Sequence[Correlation] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    leading: str = "accuracy"
    start: Credit | None = None
    findings: Sequence[Finding] = ()
    outlook: str = ""
    warnings: Sequence[str] = ()
    images: Mapping[str, Any] | None = None
    strips: Sequence[Strip] = ()
