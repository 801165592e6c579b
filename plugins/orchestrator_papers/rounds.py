"""The rounds of a slimming: from a network down by what is least important for what it saves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator import Choices
from orchestrator_papers.importance import Importance
from orchestrator_papers.ladders import Ladders
from orchestrator_papers.slots import KINDS, Kind, Removal, removal
from orchestrator_papers.told import Point

__all__ = ["Rounds"]

# Whether it saves nothing, then how much accuracy it loses for a unit of what it saves.
Rank = tuple[bool, float]


@dataclass
class Rounds:
    """Rounds by one importance: a network has one round, whoever asks.

    `step` is what a round saves, as a share of what its network costs by the guide of `ladders`.
    """

    ladders: Ladders
    step: float
    importance: Importance
    _known: dict[str, Sequence[Point]] = field(default_factory=dict)

    def below(self, here: Point) -> Sequence[Point]:
        """What a round proposes: the least important of all kinds first, then of each kind."""
        if here.key not in self._known:
            parts = self._parts(here.choices, self.ladders.rungs)
            asked: list[Collection[Kind]] = [KINDS, *([kind] for kind in KINDS)]
            found = [point for kinds in asked if (point := self._without(here, kinds, parts))]
            enough = [point for point in found if self._saves(here, point.choices)]
            self._known[here.key] = list({point.key: point for point in enough or found}.values())
        return self._known[here.key]

    def _without(
        self, here: Point, kinds: Collection[Kind], parts: Mapping[str, tuple[Removal, Rank]]
    ) -> Point | None:
        """`here` less as much of these kinds as saves a step, or as there is; None without any."""
        choices = here.choices
        queue = {name: rank for name, (part, rank) in parts.items() if part.kind in kinds}
        while queue and not self._saves(here, choices):
            name = min(queue, key=queue.__getitem__)
            del queue[name]
            # Looked at anew, as others are gone since it was queued.
            part = removal(self.ladders, choices, name)
            if part is not None and part.kind in kinds:
                choices = part.choices
                following = self._parts(choices, [name])
                queue |= {n: rank for n, (part, rank) in following.items() if part.kind in kinds}
        return None if choices is here.choices else Point(choices, self.ladders.context)

    def _parts(self, choices: Choices, names: Iterable[str]) -> dict[str, tuple[Removal, Rank]]:
        found = (removal(self.ladders, choices, name) for name in names)
        return {part.name: (part, self._rank(choices, part)) for part in found if part}

    def _rank(self, before: Choices, part: Removal) -> Rank:
        saved = self.importance.spent(before) - self.importance.spent(part.choices)
        lost = self.importance.quality(before) - self.importance.quality(part.choices)
        return (False, lost / saved) if saved > 0 else (True, -saved)

    def _saves(self, here: Point, choices: Choices) -> bool:
        """Whether a step is done: one part, where no static objective tells what it saves."""
        if not self.ladders.guide:
            return choices is not here.choices
        return self.ladders.cost(choices) <= (1 - self.step) * self.ladders.cost(here.choices)
