"""What trying several estimators on a few candidates told, on disk figure by figure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.analysis.ranking import kendall
from orchestrator.errors import RunError, TrainingError, plural
from orchestrator.files import read_json, write_json
from orchestrator.records import Genotype

__all__ = ["TRAIN", "TrialRun", "Tried", "read_trial_run"]

TRAIN = "train"
_FORMAT = 1
# Over how many candidates of a search what is paid once is spread; the default budget.
_SPREAD = 26


@dataclass
class Tried:
    """A candidate: its figure and CPU seconds by way, `curve` that of its training.

    `failed` are reasons by way where there is no figure.
    """

    genotype: Genotype
    figures: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    curve: tuple[float, ...] = ()

    def knows(self, way: str) -> bool:
        """Whether nothing is left to be tried."""
        return way in self.figures or way in self.failed

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return {**asdict(self), "genotype": self.genotype.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tried:
        """What `to_json` gave."""
        genotype = Genotype.from_json(data["genotype"])
        return cls(**{**data, "genotype": genotype, "curve": tuple(data["curve"])})


@dataclass
class TrialRun:
    """All that was tried; `ahead` are CPU seconds a way costs once, `chosen` the way to go on.

    Figures of ways in `either` may rank one way round or the other, as multiply-adds do.
    """

    path: Path
    tried: list[Tried] = field(default_factory=list)
    ahead: dict[str, float] = field(default_factory=dict)
    chosen: str | None = None
    either: tuple[str, ...] = ()

    @property
    def settled(self) -> str:
        """The chosen way; raises RunError where none is."""
        if self.chosen is None:
            raise RunError(
                f"{self.path}: no estimator was chosen yet. Start the search anew, or resume it."
            )
        return self.chosen

    def of(self, genotype: Genotype) -> Tried | None:
        """What is known of a candidate."""
        return next((tried for tried in self.tried if tried.genotype == genotype), None)

    def write(self) -> None:
        """All or nothing; raises RunError for a disk that is full or not writable."""
        tried = [item.to_json() for item in self.tried]
        told: dict[str, Any] = {"tried": tried, "ahead": self.ahead, "chosen": self.chosen}
        told["either"] = list(self.either)
        write_json(self.path, told, format=_FORMAT)

    def choose(self, least: float) -> None:
        """The cheapest way whose tau is at least `least`, else training.

        Raises TrainingError where nothing was trained.
        """
        if not self._trained():
            reasons = "; ".join(sorted({item.failed[TRAIN] for item in self.tried}))
            raise TrainingError(
                f"none of {plural(len(self.tried), 'candidate')} could be trained: {reasons}"
            )
        taus = self.taus()
        good = [way for way, tau in taus.items() if tau is not None and tau >= least]
        good = [way for way in good if self.cost(way) < self.cost(TRAIN)]
        self.chosen = min(good, key=self.cost, default=TRAIN)

    def taus(self) -> dict[str, float | None]:
        """Kendall's tau of each way with training; None where it cannot be told."""
        ways = dict.fromkeys(way for item in self.tried for way in (*item.figures, *item.failed))
        return {way: self._tau(way) for way in ways if way != TRAIN}

    def cost(self, way: str) -> float:
        """CPU seconds a candidate."""
        known = [item.seconds[way] for item in self.tried if way in item.seconds]
        return statistics.median(known) + self.ahead.get(way, 0.0) / _SPREAD

    def sentence(self, least: float) -> str:
        """What was chosen and why, for people."""
        trained, cost = len(self._trained()), self.cost(TRAIN)
        taus = self.taus()
        if self.settled == TRAIN:
            told = ", ".join(f"{way} {_told(tau)}" for way, tau in taus.items()) or "nothing"
            return (
                f"every candidate is trained, {cost:.1f} CPU s each: of {told}, none that is "
                f"cheaper ranks {plural(trained, 'trained candidate')} with Kendall's tau "
                f"{least:.2f} or more."
            )
        others = [f"{way} {_told(tau)}" for way, tau in taus.items() if way != self.chosen]
        beside = f" ({', '.join(others)})" if others else ""
        return (
            f"accuracy is estimated by {self.chosen}: it ranks "
            f"{plural(trained, 'trained candidate')} with Kendall's tau "
            f"{_told(taus[self.settled])}{beside}, for {self.cost(self.settled):.1f} CPU s a "
            f"candidate in place of {cost:.1f}."
        )

    def _trained(self) -> list[Tried]:
        return [item for item in self.tried if TRAIN in item.figures]

    def _tau(self, way: str) -> float | None:
        both = [item for item in self._trained() if way in item.figures]
        if len(both) < 3 or len(both) < len(self._trained()):
            return None  # a way that fails for some is none
        tau = kendall([t.figures[way] for t in both], [t.figures[TRAIN] for t in both])
        return abs(tau) if tau is not None and way in self.either else tau


def read_trial_run(path: Path) -> TrialRun:
    """What was written; empty without a file. Raises RunError for an unusable one."""
    if not path.exists():
        return TrialRun(path)
    try:
        data = read_json(path, format=_FORMAT, mend="Delete it, then resume.")
        tried = [Tried.from_json(item) for item in data["tried"]]
        return TrialRun(path, tried, dict(data["ahead"]), data["chosen"], tuple(data["either"]))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} does not hold what estimators were tried ({error!r}). Delete it, then resume; "
            "they are tried again."
        ) from error


def _told(tau: float | None) -> str:
    return "unknown" if tau is None else f"{tau:.2f}"
