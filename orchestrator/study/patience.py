"""How long anything may take before it is taken to hang."""

from __future__ import annotations

from orchestrator.study.study import Study

__all__ = ["candidate_s", "longest_s"]

# What takes so many times as long as was foreseen hangs, but for these seconds, which anything may.
_FAR_TOO_LONG = 20
_ANY_CANDIDATE_S = 600.0
_ANY_TASK_S = 3600.0


def candidate_s(study: Study, concurrent: int) -> float:
    """The most seconds that a candidate may take, by the forecast of the whole search."""
    budget = study.config.budget
    if budget.candidate_minutes:
        return 60 * budget.candidate_minutes
    each_s = study.plan.seconds * concurrent / budget.candidates
    return max(_ANY_CANDIDATE_S, _FAR_TOO_LONG * each_s)


def longest_s(study: Study) -> float:
    """The most seconds of any other task, such as a teacher's training or a finalist's."""
    return max(_ANY_TASK_S, _FAR_TOO_LONG * study.plan.seconds)
