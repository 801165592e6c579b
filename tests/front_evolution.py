"""A third party's sampler on the public face alone: evolution around the front."""

from __future__ import annotations

import random

from orchestrator import Choices, History, Question, Sampler, SamplerContext
from orchestrator.errors import CandidateError


class FrontEvolution(Sampler):
    """Changes one or two answers of a member of the front, and keeps static budgets."""

    name = "front_evolution"

    def __init__(self, *, start: int = 8, tries: int = 30) -> None:
        self.start, self.tries = start, tries

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        known = len(history.records) + len(history.pending)
        dice = random.Random(f"{context.seed}-{known}")
        parents = _front(history, context)
        if known < self.start or not parents:
            return None
        for _ in range(self.tries):
            child = dict(dice.choice(parents))
            for name in dice.sample(sorted(child), dice.randint(1, min(2, len(child)))):
                child[name] = _other(context.questions[name], child[name], dice)
            child = dict(context.complete(child))
            if not history.knows(context.draw(child)) and _allowed(child, context):
                return child
        return None


def _front(history: History, context: SamplerContext) -> list[Choices]:
    """The answers of feasible candidates that no other dominates."""
    feasible = [r for r in history.records if r.outcome == "feasible"]
    gains = [[a.sign * r.values[a.name] for a in context.axes] for r in feasible]
    best = [
        record.choices
        for record, mine in zip(feasible, gains, strict=True)
        if not any(g != mine and all(map(float.__ge__, g, mine)) for g in gains)
    ]
    return [choices for choices in best if context.complete(choices) == choices]


def _other(question: Question, answer: object, dice: random.Random) -> object:
    if question.kind == "real":
        return dice.uniform(*question.options)
    return dice.choice([option for option in question.options if option != answer] or [answer])


def _allowed(choices: Choices, context: SamplerContext) -> bool:
    try:
        return not context.violations(context.static(choices))
    except CandidateError:
        return False
