"""Whom the trained weights are owed to that a network started from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from orchestrator.faults.typed import made
from orchestrator.files import understood

__all__ = ["Credit"]


@dataclass(frozen=True)
class Credit:
    """What trained weights a network started from, and whom they are owed to.

    `name` is "family/tag" or the path that was given, `source` where the file came from, `sha256`
    that of the released file, `member` the published network, or the key of one's own. `exact` is
    False where its answers are not quite those it was released with, `checked` where its publisher
    tells no sha256 to compare. `part` says what of it was taken.
    """

    UNKNOWN: ClassVar[str] = "unknown"

    name: str
    source: str
    sha256: str
    licence: str
    credit: str
    data: str
    member: str
    exact: bool = True
    classes: int = 1000
    checked: bool = True
    part: str = ""

    @property
    def unlicensed(self) -> bool:
        """Whether its publisher says no licence."""
        return self.licence == self.UNKNOWN

    @property
    def labels(self) -> dict[str, str]:
        """For people who look runs and models up by what they are owed to."""
        return {
            "weights": self.name,
            "weights_source": self.source,
            "weights_sha256": self.sha256,
            "weights_licence": self.licence,
            "weights_credit": self.credit,
            "weights_data": self.data,
        }

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Credit:
        """What `to_json` gave; TypeError where it is damaged, RunError for a newer version's."""
        known = [item.name for item in fields(cls)]
        return made(cls, understood(data, "a credit", format=0, fields=known))
