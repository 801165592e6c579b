"""How a space asks for an integer whose range stands in a table."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import Trial

__all__ = ["Range"]


@dataclass(frozen=True)
class Range:
    """The integers low, low + step, …, high; `high` is among them."""

    low: int
    high: int
    step: int = 1

    def ask(self, trial: Trial, name: str) -> int:
        """Draw one of them as choice `name`."""
        return trial.suggest_int(name, self.low, self.high, step=self.step)
