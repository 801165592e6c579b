"""Shortlists: what was measured of networks before anybody decided to train them.

They are kept in the journal beside its trials, each as one attribute of the study, so that a
resumed search knows what an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.contracts.sampler import Measured
from orchestrator.records import Record
from orchestrator.search.journal import OneWriter

if TYPE_CHECKING:
    import optuna

__all__ = ["Shortlists"]

_NAME = "shortlist "


class Shortlists:
    """Those of one study. `measured` are the networks that keep their budgets, in order."""

    def __init__(self, study: optuna.Study, storage: OneWriter) -> None:
        self._study = study
        self._storage = storage
        self.measured: list[Measured] = []
        self._keys: set[str] = set()
        self._count = 0
        # How many trials there were when the last shortlist was known.
        self._at = -1
        told = {n: v for n, v in study.user_attrs.items() if n.startswith(_NAME)}
        # What was found of networks that can be no candidate's; a killed search told not all.
        self.over: list[Record] = []
        for name in sorted(told, key=lambda name: int(name.removeprefix(_NAME))):
            self.over += self._read(told[name])

    @property
    def due(self) -> bool:
        """Whether none was measured since the last proposal."""
        return self._at != self._trials

    @property
    def _trials(self) -> int:
        return self._storage.next_number(self._study._study_id)

    def has(self, wanted: Measured) -> bool:
        """Whether a network was measured."""
        return wanted.genotype.key in self._keys

    def keep(self, found: Sequence[Record]) -> list[Record]:
        """Write one down; those of its networks that break a budget or failed, in order.

        Each of these becomes a trial of its own.
        """
        over = sum(record.outcome != "stopped" for record in found)
        told = {"trials": self._trials + over, "found": [record.to_json() for record in found]}
        self._study.set_user_attr(f"{_NAME}{self._count}", told)
        return self._read(told)

    def _read(self, told: dict[str, Any]) -> list[Record]:
        self._count, self._at = self._count + 1, told["trials"]
        records = [Record.from_json(each) for each in told["found"]]
        fine = [record for record in records if record.outcome == "stopped"]
        self._keys |= {record.genotype.key for record in records}
        self.measured += [Measured(r.genotype, r.choices, r.values) for r in fine]
        return [record for record in records if record.outcome != "stopped"]
