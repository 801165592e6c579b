"""A search from its plan to its result: the story, its phases, the run's folder, picks."""

from orchestrator.study.merging import merge
from orchestrator.study.story import (
    left_to_take,
    load,
    plan_of,
    resume,
    run,
    tracking_store,
    write_report,
)
from orchestrator.study.study import Study, Viewer

__all__ = [
    "Study",
    "Viewer",
    "left_to_take",
    "load",
    "merge",
    "plan_of",
    "resume",
    "run",
    "tracking_store",
    "write_report",
]
