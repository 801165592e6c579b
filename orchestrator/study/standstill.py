"""Whether a search stands still: its front no longer grows, or all candidates fail alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestrator.analysis.health import Health, nothing_feasible
from orchestrator.errors import BudgetError, OrchestratorError, plural
from orchestrator.records import Record
from orchestrator.study.study import Study

__all__ = ["flat", "is_flat", "over", "refuse_alike", "refuse_failure", "refuse_nothing"]

# So many failures for one reason, and nothing else, are no chance.
_ALIKE = 10


def is_flat(health: Health, patience: int | None) -> bool:
    """Whether the hypervolume has not grown for as many trainings as patience lasts."""
    return patience is not None and health.flat_for >= patience


def over(health: Health, patience: int | None) -> bool:
    """Whether to stop: nothing is gained, or all fails."""
    return is_flat(health, patience) or len(health.all_alike) >= _ALIKE


def flat(health: Health) -> str:
    """A sentence on why the search ended there."""
    return (
        f"search: ended, as {plural(health.flat_for, 'training')} brought no more hypervolume "
        "(budget.patience)."
    )


def refuse_alike(health: Health) -> None:
    """Raise OrchestratorError where all failed alike."""
    alike = health.all_alike
    if len(alike) >= _ALIKE:
        raise OrchestratorError(
            f"the search was ended: all {plural(len(alike), 'candidate')} that were evaluated "
            f"failed alike at {alike[0].step}: {alike[0].reason.rstrip('.')}. The report has the "
            "whole story of each; mend it and start again in another run.dir, as a failed "
            "candidate is not tried twice."
        )


def refuse_nothing(study: Study) -> None:
    """Raise BudgetError where a search is over and not one candidate of it is feasible."""
    minutes = study.config.budget.minutes
    if minutes and not study.records:
        raise BudgetError(
            f"no candidate was done within budget.minutes={minutes:g}. What ran stays open: "
            f"python -m orchestrator resume {study.folder} has as long again; or start another "
            "search with more of them, or with a shorter training."
        )
    if lost := nothing_feasible(study.records, study.units):
        raise BudgetError(f"{lost.sentence} Report: {study.home.report}")


def refuse_failure(study: Study, chosen: Sequence[Record]) -> None:
    """Raise OrchestratorError where nothing is left of a search but failures."""
    failed = [record for record in study.records if record.outcome == "failed"]
    if chosen or not failed:
        return
    (reason, times), *_ = Counter(record.reason for record in failed).most_common(1)
    raise OrchestratorError(
        f"no candidate is worth a finalist: {study.summary} {times} of {len(failed)} "
        f"failed alike: {reason.rstrip('.')}. Its whole story is in {study.home.report}; mend it "
        "and start again in another run.dir, as a failed candidate is not tried twice."
    )
