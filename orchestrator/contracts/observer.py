"""What an observer may read of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.contracts.objective import Axis
from orchestrator.records import Check, Finalist, Record

__all__ = ["Study"]


class Study(Protocol):
    """A search and what is known of it; read it in the hook's own thread, while it is called."""

    @property
    def name(self) -> str:
        """What people call the search: its space and its data."""

    @property
    def folder(self) -> Path:
        """The run's folder."""

    @property
    def leading(self) -> str:
        """The name of the task's leading metric; a finalist's is called test_NAME."""

    @property
    def axes(self) -> Sequence[Axis]:
        """The searched objectives."""

    @property
    def records(self) -> Sequence[Record]:
        """All that is known so far; after a resume, what was known before it too."""

    @property
    def front(self) -> Sequence[Record]:
        """The feasible candidates that no other dominates."""

    @property
    def hypervolume(self) -> float:
        """Of the feasible candidates, in [0, 1]."""

    @property
    def checks(self) -> Sequence[Check]:
        """Candidates trained further than their estimate; `records` know of it."""

    @property
    def finalists(self) -> Sequence[Finalist]:
        """What the front's members became; empty before the end."""

    @property
    def tags(self) -> Mapping[str, str]:
        """space, dataset, device, version and what else tells searches apart."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Settings of the search, few and short."""
