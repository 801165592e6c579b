"""Architectures that are trained to learn what a proxy's score is worth."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.contracts import EstimationContext, Ground, Relatives, SamplerContext
from orchestrator.errors import CandidateError, RunError
from orchestrator.files import read_json, write_json
from orchestrator.records import Choices, Genotype
from orchestrator.training.building import draw_plain
from orchestrator.trials import PartlyKnownTrial, RandomTrial, apart

__all__ = ["Anchor", "draw_anchors", "read_anchors", "write_anchors"]

# Architectures that are scored for each one that is trained.
_POOL = 6
_FORMAT = 1


@dataclass(frozen=True)
class Anchor:
    """An architecture, its score, and the validation accuracy it reached, once it is trained.

    `failed` is the reason where its training failed.
    """

    genotype: Genotype
    score: float
    accuracy: float | None = None
    failed: str = ""

    @property
    def pending(self) -> bool:
        """Whether its training is still to come."""
        return self.accuracy is None and not self.failed

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return {**asdict(self), "genotype": self.genotype.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Anchor:
        """The anchor that `to_json` wrote."""
        return cls(**{**data, "genotype": Genotype.from_json(data["genotype"])})


@dataclass(frozen=True)
class _Scored:
    anchor: Anchor
    named: bool


def draw_anchors(
    context: EstimationContext, score: Callable[[Genotype], float], count: int
) -> list[Anchor]:
    """At most `count` architectures, evenly spread over the scores of six times as many.

    Even steps in rank, lowest and highest score included; a named network is preferred where one
    lies near a step. Where candidates inherit trained weights the others are relatives of the
    trained network, as is what such a search ends with: a random draw keeps little of what was
    trained. What cannot be built or scored is left out; raises the last such
    CandidateError if nothing is left.
    """
    pool = sorted(_pool(context, score, _POOL * count), key=lambda item: item.anchor.score)
    if len(pool) <= count:
        return [item.anchor for item in pool]
    step = (len(pool) - 1) / max(1, count - 1)
    return [pool[place].anchor for place in _places(pool, count, step)]


def _places(pool: Sequence[_Scored], count: int, step: float) -> list[int]:
    places = []
    for number in range(count):
        exact = round(number * step)
        near = [p for p in range(len(pool)) if abs(p - exact) < step / 2 and pool[p].named]
        outer = number in (0, count - 1)
        places.append(min(near, key=lambda p: abs(p - exact)) if near and not outer else exact)
    return sorted(set(places))


def _pool(
    context: EstimationContext, score: Callable[[Genotype], float], count: int
) -> list[_Scored]:
    space, seed = context.space, context.seed
    known = [point.choices for point in space.published().values()]
    named = [PartlyKnownTrial(choices, seed) for choices in known]
    drawn: list[RandomTrial] = [
        PartlyKnownTrial(choices, seed) for choices in _relatives(context, count)
    ] or [RandomTrial(apart(seed, number)) for number in range(count)]
    found: dict[str, _Scored] = {}
    failure: CandidateError | None = None
    for place, trial in enumerate([*named, *drawn]):
        genotype = draw_plain(space, context.task, trial)
        if genotype.key in found:
            continue
        try:
            anchor = Anchor(genotype, score(genotype))
        except CandidateError as error:
            failure = error
            continue
        found[genotype.key] = _Scored(anchor, place < len(named))
    if failure is not None and not found:
        raise failure
    return list(found.values())


def _relatives(context: EstimationContext, count: int) -> list[Choices]:
    """None where candidates start from noise, or it is not known how the trained one is drawn."""
    answers = None if context.start is None else context.start.answers
    draw = partial(draw_plain, context.space, context.task)
    asked = SamplerContext(Ground([], draw, start=answers), context.seed)
    return Relatives(asked).some(count, random.Random(context.seed))


def read_anchors(path: Path, proxy: str) -> list[Anchor]:
    """What `write_anchors` wrote; empty without a file. Raises RunError for an unusable one."""
    if not path.exists():
        return []
    try:
        data = read_json(path, format=_FORMAT, mend="Delete it, then resume.")
        anchors = [Anchor.from_json(item) for item in data["anchors"]]
        found = data["proxy"]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} does not hold the trained architectures of a proxy ({error!r}). Delete it, "
            "then resume; they are trained again."
        ) from error
    if found != proxy:
        raise RunError(
            f"{path} holds scores of {found!r}, expected {proxy!r}. Choose another run.dir, or "
            f"estimator.proxy={found}."
        )
    return anchors


def write_anchors(path: Path, proxy: str, anchors: Sequence[Anchor]) -> None:
    """All or nothing; raises RunError for a disk that is full or not writable."""
    kept = [anchor.to_json() for anchor in anchors]
    write_json(path, {"proxy": proxy, "anchors": kept}, format=_FORMAT)
