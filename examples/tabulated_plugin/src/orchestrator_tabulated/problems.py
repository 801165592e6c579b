"""Searches of which every answer is known at once, to try samplers on.

    from orchestrator_tabulated.problems import PROBLEMS
    problem = PROBLEMS["four-stages"]()

The table of this package is one; the others are functions whose shape is that of real trainings:
accuracy saturates in what blocks contribute, and what a block brings depends on the one before and
on its place, so that no choice is good by itself. `benchmarks/samplers.py` of Orchestrator's
repository compares samplers on all of them.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from orchestrator import Axis, Budget, Genotype, Trial
from orchestrator_tabulated.table import DEFAULT, read_table, word

__all__ = ["PROBLEMS", "Problem", "Truth"]


@dataclass(frozen=True)
class Truth:
    """Accuracy in [0, 1], and what a network costs in units of the problem's own."""

    accuracy: float
    cost: float
    size: float


@dataclass(frozen=True)
class Problem:
    """A space of choices and all that a training in it would tell.

    `draw` makes a genotype of a trial's answers, `truth` says what it is worth. `told` are the
    objectives beside accuracy, of which those in `measured` are known only once they are measured,
    within one per cent. `noise` is the standard deviation of one training's accuracy; `fails` says
    which networks fail. `budgets` are hard limits. `largest` is what bounds each cost.
    """

    name: str
    draw: Callable[[Trial], Genotype]
    truth: Callable[[Genotype], Truth]
    largest: Mapping[str, float]
    told: tuple[str, ...] = ("cost",)
    measured: tuple[str, ...] = ()
    noise: float = 0.0
    fails: Callable[[Genotype], bool] = lambda genotype: False
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    guess: float = 0.1

    @property
    def axes(self) -> list[Axis]:
        """Accuracy, from what a guess reaches, and each cost, from the largest."""
        costs = [Axis(name, "", "minimize", self.largest[name]) for name in self.told]
        return [Axis("accuracy", "share", "maximize", self.guess, leads=True), *costs]

    def static(self, genotype: Genotype) -> dict[str, float]:
        """What is known of a network before it is trained or measured."""
        truth = self.truth(genotype)
        known = {"cost": truth.cost, "size": truth.size}
        wanted = [*self.told, *(["size"] if self.measured else [])]
        return {name: known[name] for name in wanted if name not in self.measured}

    def before(self, genotype: Genotype, seed: int) -> dict[str, float]:
        """What is known before training: static values and measurements."""
        clock = _random(self.name, genotype.key, seed, "clock")
        truth = {"cost": self.truth(genotype).cost, "size": self.truth(genotype).size}
        timed = {name: truth[name] * math.exp(0.01 * clock.gauss(0, 1)) for name in self.measured}
        return {**self.static(genotype), **timed}

    def trained(self, genotype: Genotype, seed: int) -> float | None:
        """The accuracy of one training; None where it fails."""
        if self.fails(genotype):
            return None
        error = self.noise * _random(self.name, genotype.key, seed).gauss(0, 1)
        return self.truth(genotype).accuracy + error

    def exact(self, genotype: Genotype) -> dict[str, float]:
        """Every objective without noise."""
        truth = self.truth(genotype)
        return {"accuracy": truth.accuracy, "cost": truth.cost, "size": truth.size}


def _random(*about: Any) -> random.Random:
    """Always the same for the same words."""
    return random.Random(hashlib.sha256(repr(about).encode()).digest())


@cache
def _taste(*about: Any) -> float:
    return _random(*about).random()


# --- the table ------------------------------------------------------------------------------------


def _draw_layers(trial: Trial) -> Genotype:
    """Operator, kernel and width of each of one to three layers."""
    layers = [
        {
            "operator": trial.suggest_categorical(
                f"{layer}.operator", ["convolution", "separable"]
            ),
            "kernel": trial.suggest_categorical(f"{layer}.kernel", [3, 5]),
            "width": trial.suggest_categorical(f"{layer}.width", [8, 16, 24]),
        }
        for layer in range(trial.suggest_int("layers", 1, 3))
    ]
    return Genotype("tabulated", "small", {"layers": layers})


def _tabulated(genotype: Genotype) -> Truth:
    """As trained; multiply-adds and parameters of the layers."""
    weights, biases, channels = 0, 0, 1
    for layer in genotype.architecture["layers"]:
        kernel, width = layer["kernel"], layer["width"]
        dense = kernel**2 * channels * width
        split = kernel**2 * channels + channels * width
        weights += dense if layer["operator"] == "convolution" else split
        biases, channels = biases + 2 * width, width
    accuracy = read_table(DEFAULT)[word(genotype.architecture)][-1]
    return Truth(accuracy, 16.0 * weights, float(weights + biases + 10 * channels))


_TABLE = {"cost": 16.0 * 29_400, "size": 29_784.0}

# --- a row of eight choices -----------------------------------------------------------------------


def _draw_row(trial: Trial) -> Genotype:
    """Eight operators of three: 6,561 networks."""
    kinds = ["light", "plain", "heavy"]
    row = [trial.suggest_categorical(f"place{place}", kinds) for place in range(8)]
    return Genotype("row", "small", {"row": row})


def _of_row(genotype: Genotype) -> Truth:
    """What an operator brings depends on its place and its neighbour; no two networks are alike."""
    row = genotype.architecture["row"]
    price = {"light": 0.35, "plain": 1.0, "heavy": 1.9}
    worth, cost, size, before = 0.0, 1.5, 2.0, "stem"
    for place, kind in enumerate(row):
        cost += price[kind] * (1.0 if place % 3 else 1.6)
        size += price[kind] * 1.25**place
        worth += price[kind] ** 0.5 * (0.35 + 0.5 * _taste("row", place, kind))
        worth += 0.45 * _taste("pair", place, before, kind)
        before = kind
    residue = 0.006 * (_taste("one", genotype.key) - 0.5)
    return Truth(0.95 - 0.75 * math.exp(-worth / 3.0) + residue, cost, size)


_ROW = {"cost": 1.5 + 1.9 * (5 + 3 * 1.6), "size": 2.0 + 1.9 * sum(1.25**p for p in range(8))}


def _two_heavy_ones(genotype: Genotype) -> bool:
    """Some networks do not train at all: those whose third and sixth are heavy."""
    row = genotype.architecture["row"]
    return bool(row[2] == row[5] == "heavy")


# --- a cell ---------------------------------------------------------------------------------------

# The edges of a cell of four places, the way in first and the way out last.
_EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
_OPERATORS = {"none": 0.0, "skip": 0.0, "pool": 0.05, "small": 1.0, "large": 4.0}


def _draw_cell(trial: Trial) -> Genotype:
    """An operator of five on each of six edges: 15,625 networks, many of them alike."""
    cell = [trial.suggest_categorical(f"edge{number}", list(_OPERATORS)) for number in range(6)]
    return Genotype("cell", "small", {"cell": cell})


def _alive(cell: Sequence[str]) -> list[str]:
    """The operators, "none" for those on no way from the first place to the last."""
    there = [edge for edge, kind in zip(_EDGES, cell, strict=True) if kind != "none"]
    ahead, behind = {0}, {3}
    for _ in range(3):
        ahead |= {b for a, b in there if a in ahead}
        behind |= {a for a, b in there if b in behind}
    used = [a in ahead and b in behind for a, b in _EDGES]
    return [kind if on else "none" for kind, on in zip(cell, used, strict=True)]


def _of_cell(genotype: Genotype) -> Truth:
    """Told in steps of a fifth of a per cent; a cell with no way through learns nothing."""
    cell = _alive(genotype.architecture["cell"])
    cost = 3.0 + sum(_OPERATORS[kind] for kind in cell)
    size = 3.0 + sum((kind in ("small", "large")) * _OPERATORS[kind] for kind in cell)
    if set(cell) == {"none"}:
        return Truth(0.1, cost, size)
    worth = sum(
        {"none": 0.0, "skip": 0.15, "pool": 0.3, "small": 1.1, "large": 1.5}[kind]
        * (0.6 + 0.8 * _taste("edge", number, kind))
        for number, kind in enumerate(cell)
    )
    # A short cut beside a long way is what helps most.
    worth += 1.2 * (cell[3] == "skip" and "none" not in (cell[0], cell[2], cell[5]))
    worth += 0.4 * _taste("way", cell[0], cell[2], cell[5]) + 0.4 * _taste("way", cell[1], cell[4])
    accuracy = 0.945 - 0.65 * math.exp(-worth / 2.5)
    return Truth(round(500 * accuracy) / 500, cost, size)


# --- stages of blocks -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stages:
    """Stages of blocks: a depth, a width and, of each block that there is, operator and kernel.

    A network's cost is by a standard deviation of `uneven`, as a share, off what its blocks cost,
    as latencies are that depend on how a whole network lies in memory.
    """

    stages: int
    depth: int
    seed: int
    uneven: float = 0.0

    def draw(self, trial: Trial) -> Genotype:
        """The stages from first to last."""
        stages = [self._stage(trial, stage) for stage in range(self.stages)]
        return Genotype("stages", "small", {"stages": stages})

    def _stage(self, trial: Trial, stage: int) -> dict[str, Any]:
        depth = trial.suggest_int(f"{stage}.depth", 1, self.depth)
        return {
            "width": trial.suggest_categorical(f"{stage}.width", [0.5, 0.75, 1.0, 1.25]),
            "blocks": [
                [
                    trial.suggest_categorical(f"{stage}.{block}.operator", ["mb", "conv", "attn"]),
                    trial.suggest_int(f"{stage}.{block}.kernel", 3, 7, step=2),
                ]
                for block in range(depth)
            ],
        }

    def truth(self, genotype: Genotype) -> Truth:
        """Accuracy, multiply-adds and parameters in units of their own."""
        worth, cost, size, before = 0.0, 0.0, 0.0, "stem"
        for place, stage in enumerate(genotype.architecture["stages"]):
            for number, (operator, kernel) in enumerate(stage["blocks"]):
                price = _price(operator, kernel) * stage["width"] ** 2
                cost += price * (1.0 + 0.2 * place * (operator != "attn"))
                size += price * 2.0**place
                liked = 0.3 + 0.9 * _taste(self.seed, place, before, operator, kernel)
                worth += liked * stage["width"] ** 0.5 * 0.75**number
                before = operator
        if self.uneven:
            cost *= 1 + self.uneven * 12**0.5 * (_taste("uneven", genotype.key) - 0.5)
        return Truth(0.96 - 0.6 * math.exp(-1.125 * worth / self.stages), cost, size)

    @property
    def largest(self) -> dict[str, float]:
        """Six tenths of the corner of the space: what few of those drawn at random exceed."""
        block = ["conv", 7]
        stage = {"width": 1.25, "blocks": [block] * self.depth}
        corner = self.truth(Genotype("stages", "small", {"stages": [stage] * self.stages}))
        return {"cost": 0.6 * corner.cost, "size": 0.6 * corner.size}


def _price(operator: str, kernel: int) -> float:
    larger = 1 + 0.06 * (kernel - 3) * (operator != "attn")
    return {"mb": 1.0, "conv": 2.2, "attn": 1.6}[operator] * larger


def _one_in_ten(genotype: Genotype) -> bool:
    """Whatever the reason: an exploding loss, a lost worker."""
    return _taste("fails", genotype.key) < 0.1


def _table(name: str, **more: Any) -> Problem:
    return Problem(name, _draw_layers, _tabulated, _TABLE, **more)


def _row(name: str, **more: Any) -> Problem:
    return Problem(name, _draw_row, _of_row, _ROW, **more)


def _cell(name: str, **more: Any) -> Problem:
    return Problem(name, _draw_cell, _of_cell, {"cost": 27.0, "size": 27.0}, **more)


def _stages(stages: int, depth: int, name: str, **more: Any) -> Problem:
    made = _Stages(stages, depth, seed=stages, uneven=more.pop("uneven", 0.0))
    limits = {n: Budget(max=share * made.largest[n]) for n, share in more.pop("shares", {}).items()}
    return Problem(name, made.draw, made.truth, made.largest, budgets=limits, **more)


_three, _four, _five = partial(_stages, 3, 3), partial(_stages, 4, 4), partial(_stages, 5, 4)

# Name → what makes it.
PROBLEMS: Mapping[str, Callable[[], Problem]] = {
    "table": partial(_table, "table"),
    "noisy-table": partial(_table, "noisy-table", noise=0.01),
    "row": partial(_row, "row"),
    "noisy-row": partial(_row, "noisy-row", noise=0.004),
    "cell": partial(_cell, "cell", noise=0.003),
    "three-stages": partial(_three, "three-stages", noise=0.003),
    "four-stages": partial(_four, "four-stages"),
    "five-stages": partial(_five, "five-stages", noise=0.006),
    "three-objectives": partial(_three, "three-objectives", told=("cost", "size")),
    "failures": partial(_four, "failures", fails=_one_in_ten),
    "broken-corner": partial(_row, "broken-corner", fails=_two_heavy_ones),
    "budget": partial(_four, "budget", shares={"cost": 0.15}),
    "minimum": partial(_row, "minimum", budgets={"accuracy": Budget(min=0.885)}),
    "measured": partial(_three, "measured", measured=("cost",), shares={"cost": 0.3}),
    "uneven": partial(_three, "uneven", measured=("cost",), uneven=0.06),
}
