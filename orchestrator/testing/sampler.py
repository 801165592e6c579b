"""The contract suite of samplers: call `check_sampler` in a plugin's own tests."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from orchestrator.contracts import (
    Axis,
    Budget,
    Earlier,
    Ground,
    History,
    Measured,
    Proposal,
    Sampler,
    SamplerContext,
    Trial,
)
from orchestrator.records import Choices, Genotype, Record

__all__ = ["check_sampler"]

_CANDIDATES = 40
_PENDING = 4
_LARGEST = 21.0
_AXES = (
    Axis("accuracy", "share", "maximize", 0.0),
    Axis("cost", "", "minimize", _LARGEST),
)
_BUDGETS = {"cost": Budget(max=15.0)}
# Where a latency is searched for that can be measured before training.
_TIMED = (_AXES[0], Axis("latency_ms", "ms", "minimize", 3.0))


def check_sampler(sampler: Sampler) -> None:
    """Raise AssertionError with a sentence if `sampler` breaks its contract.

    It searches a table of 1,236 points with conditional, ordered and real choices, one budget, and
    candidates that fail, are stopped or stay pending, also with what an earlier search knew, as
    far as it says that it uses that; then one for a latency, where shortlists are measured. Cost:
    some 200 proposals.
    """
    searches = [_Search(_copy(sampler), seed=3) for _ in range(2)]
    first, again = (list(search.run(_CANDIDATES)) for search in searches)
    assert first == again, "the same seed and the same history give other proposals"
    half = searches[0]
    _Search(_copy(sampler), seed=5, told=half.told, pending=half.pending).finish(10)
    known = [replace(record, earlier="before") for record in half.told]
    _Search(_copy(sampler), seed=11, told=known).finish(6)
    if sampler.uses_earlier == "priors":
        before = Earlier("before", tuple(half.told), ("data",), frozenset({"cost"}))
        _Search(_copy(sampler), seed=13, earlier=(before,)).finish(6)
    timed = [list(_Search(_copy(sampler), seed=9, timed=True).run(20)) for _ in range(2)]
    assert timed[0] == timed[1], "the same seed and the same measurements give other proposals"
    for outcome in ("failed", "rejected", "stopped"):
        _Search(_copy(sampler), seed=7, always=outcome).finish(12)


class _Search:
    """The loop around a sampler, without an evaluation: a table answers."""

    def __init__(
        self,
        sampler: Sampler,
        *,
        seed: int,
        told: list[Record] | None = None,
        pending: dict[int, Proposal] | None = None,
        always: str = "",
        earlier: Sequence[Earlier] = (),
        timed: bool = False,
    ) -> None:
        self.sampler = sampler
        self.told = list(told or [])
        self.pending: dict[int, Proposal] = dict(pending or {})
        self.measured: list[Measured] = []
        ground = Ground(_AXES, _draw, _static, _BUDGETS)
        timely = replace(ground, axes=_TIMED, measurable=["latency_ms"])
        self.context = SamplerContext(timely if timed else ground, seed)
        sampler.check(self.context)
        self.always = always
        self.earlier = earlier

    def finish(self, count: int) -> None:
        """Propose and tell `count` candidates."""
        for _ in self.run(count):
            pass

    def run(self, count: int) -> Iterator[Choices | None]:
        """What is proposed, until `count` more candidates are handed out."""
        asked, wanted = 0, len(self.told) + len(self.pending) + count
        while len(self.told) + len(self.pending) < wanted:
            asked += 1
            assert asked <= 4 * count, "it proposes little but what is known or pending already"
            choices = self._asked()
            yield choices
            given = self.context.random() if choices is None else self.context.complete(choices)
            self._hand_out(given)
            if len(self.pending) > _PENDING:  # not the oldest: candidates overtake each other
                self._tell(sorted(self.pending)[1])

    @property
    def history(self) -> History:
        """What the sampler is shown."""
        open_ones = tuple(self.pending.values())
        known = {record.genotype.key for record in self.told}
        known |= {proposal.genotype.key for proposal in open_ones}
        measured = tuple(self.measured)
        return History(tuple(self.told), open_ones, known, earlier=self.earlier, measured=measured)

    def _asked(self) -> Choices | None:
        """One proposal, and that nothing else came of asking for it."""
        states = random.getstate(), _numpy_state()
        records = pickle.dumps(self.told)
        if self.context.measurable:
            self._measure()
        choices = self.sampler.propose(self.history, self.context)
        after = random.getstate(), _numpy_state()
        assert states[0] == after[0], "the random state of Python's `random` is left as it was"
        assert states[1] == after[1], "numpy's global random state is left as it was"
        assert records == pickle.dumps(self.told), "records are read, never changed"
        return _valid(choices, self.context)

    def _measure(self) -> None:
        """What it wants measured before it proposes."""
        for choices in self.sampler.shortlist(self.history, self.context):
            assert _valid(choices, self.context) is not None, "a shortlist has choices only"
            genotype = self.context.draw(choices)
            if not self.history.knows(genotype):
                self.measured.append(Measured(genotype, dict(choices), _values(genotype)))

    def _hand_out(self, choices: Choices) -> None:
        genotype = self.context.draw(choices)
        if not self.history.knows(genotype):
            number = len(self.told) + len(self.pending)
            self.pending[number] = Proposal(number, genotype, choices, "sampler")

    def _tell(self, number: int) -> None:
        self.told.append(_outcome(self.pending.pop(number), self.always))


def _numpy_state() -> bytes:
    return pickle.dumps(np.random.get_state())


def _copy(sampler: Sampler) -> Sampler:
    """Another instance, as another process would have it."""
    copied = pickle.loads(pickle.dumps(sampler))
    assert isinstance(copied, Sampler), f"{copied!r} is no Sampler"
    return copied


def _valid(choices: Choices | None, context: SamplerContext) -> Choices | None:
    if choices is None:
        return None
    assert isinstance(choices, Mapping), f"propose gave {choices!r}, expected answers by name"
    text = json.dumps(dict(choices), sort_keys=True)
    assert json.loads(text) == dict(choices), f"{choices!r} are not JSON values"
    context.draw(choices)  # raises ConfigError for an answer that cannot be
    return dict(choices)


def _draw(trial: Trial) -> Genotype:
    """Up to three blocks with an operator each, a width, and a share where there are three."""
    depth = trial.suggest_int("depth", 1, 3)
    kinds = ["plain", "wide", "none"]
    blocks = [trial.suggest_categorical(f"block{index}", kinds) for index in range(depth)]
    architecture: dict[str, Any] = {"blocks": blocks, "width": trial.suggest_int("w", 2, 5)}
    if depth == 3:
        architecture["share"] = round(trial.suggest_float("share", 0.0, 1.0), 1)
    return Genotype("table", "small", architecture)


def _static(genotype: Genotype) -> dict[str, float]:
    """The table's cheap column: (blocks, width) → up to `_LARGEST`."""
    sizes = {"plain": 1.0, "wide": 1.4, "none": 0.2}
    found = genotype.architecture
    blocks = sum(sizes[block] for block in found["blocks"]) * found["width"]
    return {"cost": blocks * (0.5 + found.get("share", 0.5)) * _LARGEST / 31.5}


def _values(genotype: Genotype) -> dict[str, float]:
    """With the milliseconds, which operators take more of than they cost."""
    values = _static(genotype)
    slow = 1 + 0.3 * genotype.architecture["blocks"].count("plain")
    return {**values, "latency_ms": 0.1 + 0.06 * slow * values["cost"]}


def _outcome(proposal: Proposal, always: str) -> Record:
    """The table's dear column, and now and then a way to lose a candidate."""
    values = _values(proposal.genotype)
    over = _BUDGETS["cost"].excess(values["cost"])
    lost = "failed" if proposal.number % 9 == 4 else "stopped" if proposal.number % 7 == 5 else ""
    outcome: Any = always or ("rejected" if over else lost or "feasible")
    if outcome == "failed":
        values = {}
    elif outcome == "feasible":
        wide = proposal.genotype.architecture["blocks"].count("wide")
        values["accuracy"] = 0.5 + 0.4 * values["cost"] / _LARGEST + 0.03 * wide
    return Record(
        number=proposal.number,
        genotype=proposal.genotype,
        outcome=outcome,
        values=values,
        choices=dict(proposal.choices),
        violations={"cost": over or 1.0} if outcome == "rejected" else {},
        curve=(0.3,) if outcome == "stopped" else (),
    )
