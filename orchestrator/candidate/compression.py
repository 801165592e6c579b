"""The compressors of a study by the names its configuration gives them: drawn, put in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from orchestrator.contracts import Compressor, Trial
from orchestrator.contracts.orders import legal_orders, obstacle, stage_of
from orchestrator.errors import CompressionError, ConfigError
from orchestrator.records import Choices, Genotype, Step
from orchestrator.trials import ScopedTrial

__all__ = ["Compression"]

# Of more compressors only the names are told, of more orders only how many they are.
_MOST_TOLD = 8
_ORDERS_TOLD = 3


@dataclass(frozen=True)
class Compression:
    """`compressors` by their keys in the configuration; `formats` are the device's."""

    compressors: Mapping[str, Compressor]
    formats: frozenset[str]

    def __post_init__(self) -> None:
        staged = sorted(self.compressors.items(), key=lambda item: stage_of(item[1]))
        object.__setattr__(self, "compressors", dict(staged))

    def check(self) -> None:
        """Raise ConfigError for a compressor that no candidate could ever use."""
        for name in self.compressors:
            if not self._usable(name):
                others = [other for other in self.compressors if other != name]
                raise ConfigError(
                    f"compressor {name!r} {self._obstacle(name)}, and with none of the others "
                    f"({', '.join(others) or 'there is none'}) it can. Choose another device or "
                    "leave it out."
                )

    @property
    def told(self) -> str:
        """The legal orders of as many compressors as go together, in words."""
        if len(self.compressors) > _MOST_TOLD:
            return ", ".join(self.compressors)
        orders = [" → ".join(order) for names in self._largest() for order in self._orders(names)]
        more = len(orders) - _ORDERS_TOLD
        rest = [f"{more} more"] if more > 0 else []
        return ", or ".join([*orders[:_ORDERS_TOLD], *rest])

    def suggest(self, name: str, trial: Trial) -> Choices:
        """One compressor's choices, its questions under its own name."""
        compressor = self.compressors[name]
        return dict(compressor.suggest(ScopedTrial(trial, compressor.name, name)))

    def draw(self, trial: Trial) -> tuple[Step, ...]:
        """Steps that are legal together.

        A compressor that what was drawn before it rules out is not asked: a question is asked
        only where it has an effect. So is the order, where more than one is legal.
        """
        taken: dict[str, Choices] = {}
        waiting = list(self.compressors)
        while asked := next((n for n in waiting if self._orders({*taken, n})), None):
            waiting.remove(asked)
            if choices := self.suggest(asked, trial):
                taken[asked] = choices
        return tuple(Step(name, taken[name]) for name in self._ordered(set(taken), trial))

    def steps(self, genotype: Genotype) -> list[Step]:
        """The genotype's steps in the order they are taken; raises CompressionError.

        Steps that were kept by name, because only one order is legal, are put into that order.
        """
        taken = [(self._key(s.name), s) for s in genotype.compression if s.choices]
        steps = dict(taken)
        if len(steps) < len(taken):
            names = " and ".join(sorted(key for key, _ in taken))
            raise CompressionError(
                f"{genotype.key} takes a compressor twice ({names}); give it two names in the "
                "configuration."
            )
        orders = self._orders(set(steps))
        if not orders:
            raise CompressionError(
                f"{genotype.key} cannot be compressed by {' and '.join(steps)} together, in any "
                "order: one of them lacks what it requires, or meets what it conflicts with."
            )
        stored = sorted(steps, key=lambda name: stage_of(self.compressors[name]))
        order = tuple(stored) if tuple(stored) in orders else orders[0]
        return [Step(name, steps[name].choices) for name in order]

    def active(self, kind: Any, genotype: Genotype) -> Iterator[tuple[Any, Choices]]:
        """The compressors of one kind (a class) that a genotype uses, in order, with choices."""
        for step in self.steps(genotype):
            compressor = self.compressors[step.name]
            if isinstance(compressor, kind):
                yield compressor, step.choices

    def _ordered(self, taken: set[str], trial: Trial) -> list[str]:
        """By name where but one order is legal, so that such a genotype has one form."""
        orders = self._orders(taken)
        if len(orders) < 2:
            return sorted(taken)
        told = {" > ".join(order): order for order in orders}
        question = f"order.{'+'.join(sorted(taken))}"
        return list(told[trial.suggest_categorical(question, list(told))])

    def _orders(self, names: set[str]) -> list[tuple[str, ...]]:
        active = {name: item for name, item in self.compressors.items() if name in names}
        return legal_orders(active, self.formats)

    def _key(self, step: str) -> str:
        """A step's compressor; runs made before were named by its class, whatever its key."""
        if step in self.compressors:
            return step
        named = [key for key, item in self.compressors.items() if item.name == step]
        if len(named) == 1:
            return named[0]
        known = ", ".join(self.compressors) or "none"
        raise CompressionError(f"no compressor is called {step!r}; the configuration has {known}.")

    def _usable(self, name: str) -> bool:
        others = [other for other in self.compressors if other != name]
        return any(
            self._orders({name, *chosen})
            for count in range(len(others) + 1)
            for chosen in combinations(others, count)
        )

    def _largest(self) -> list[set[str]]:
        """The legal sets that no other legal set contains, in the configuration's order."""
        found: list[set[str]] = []
        for count in range(len(self.compressors), 0, -1):
            for chosen in map(set, combinations(self.compressors, count)):
                if not any(chosen < larger for larger in found) and self._orders(chosen):
                    found.append(chosen)
        return found

    def _obstacle(self, name: str) -> str:
        return obstacle(self.compressors[name], self.formats)
