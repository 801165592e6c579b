"""What the guided sampler reads out of a history."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from orchestrator_guided.coding import Coder
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.improvement import layer
from orchestrator_guided.knowledge import Knowledge, Memory
from orchestrator_guided.losses import losses_of
from orchestrator_guided.sampler import GuidedSampler
from orchestrator_guided.start import Start

from orchestrator import (
    Axis,
    Budget,
    Genotype,
    Ground,
    History,
    Proposal,
    Record,
    SamplerContext,
    Trial,
)

AXES = (
    Axis("accuracy", "share", "maximize", 0.1, leads=True),
    Axis("latency_ms", "ms", "minimize", 9.0),
)


def record(number: int, accuracy: float | None = None, **more: Any) -> Record:
    values = {"latency_ms": 1.0 + number} | ({} if accuracy is None else {"accuracy": accuracy})
    more = {"outcome": "feasible", "values": values, **more}
    return Record(number, Genotype("s", "p", {"number": number}), **more)


def evidence(records: Sequence[Record], **budgets: Budget) -> Evidence:
    found = Evidence(losses_of(AXES, budgets, ()), len(AXES), ())
    found.read(records)
    return found


def test_a_stopped_training_counts_as_it_would_have_ended() -> None:
    whole = [record(n, 0.8, curve=(0.4, 0.6, 0.8)) for n in range(3)]
    stopped = record(3, outcome="stopped", curve=(0.4,))
    values, variances = evidence([*whole, stopped]).target(0, 4)
    assert np.exp(values) == pytest.approx([0.2, 0.2, 0.2, 0.2])  # losses: 1 − accuracy
    assert variances[3] > 0 and not variances[:3].any()


def test_what_was_foretold_says_nothing_of_how_curves_go_on() -> None:
    whole = [record(n, 0.8, curve=(0.4, 0.6, 0.8)) for n in range(3)]
    foretold = record(3, 0.5, curve=(0.5,), extra={"predicted": True})
    found = evidence([*whole, foretold])
    assert np.exp(found.target(0, 4)[0][3]) == pytest.approx(0.5)
    assert found.predicted.tolist() == [0, 0, 0, 1]


def test_a_network_counts_with_its_best_file_and_the_front_holds_all() -> None:
    own = record(0, 0.8, values={"accuracy": 0.8, "latency_ms": 6.0})
    int8 = record(1, values={"accuracy": 0.79, "latency_ms": 2.0}, network=0)
    broken = record(2, values={"accuracy": 0.9, "latency_ms": 1.0}, network=0, outcome="rejected")
    found = evidence([own, int8, broken])
    assert len(found) == 1
    assert found.raw == pytest.approx(np.array([[0.21, 2.0]]))
    assert found.points == pytest.approx(np.array([[0.2, 6.0], [0.21, 2.0]]))


def test_the_front_that_grows_is_the_front_of_all() -> None:
    rng = np.random.default_rng(1)
    drawn = [
        {"accuracy": a, "latency_ms": 5 * a + extra}
        for a, extra in np.round(rng.random((300, 2)), 1).tolist()
    ]
    told = [record(n, values["accuracy"], values=values) for n, values in enumerate(drawn)]
    found = evidence(told)
    assert found.front.tolist() == layer(found.points).tolist()
    assert len(found.front) > 3


def test_what_is_limited_but_not_searched_for_is_learnt_too() -> None:
    first = record(0, 0.8, values={"accuracy": 0.8, "latency_ms": 6.0, "size_bytes": 700.0})
    found = evidence([first], size_bytes=Budget(max=800.0), accuracy=Budget(min=0.5))
    assert found.raw == pytest.approx(np.array([[0.2, 6.0, 700.0]]))
    (size,) = found.losses[2:]
    likely = size.within(Budget(max=800.0), np.log([400.0, 800.0]), np.array([0.3, 0.3]))
    assert np.exp(likely) == pytest.approx([0.99, 0.5], abs=0.01)


# --- in a space -----------------------------------------------------------------------------------


def draw(trial: Trial) -> Genotype:
    """A question that one of forty answers leads to, and that draws do not meet soon."""
    kind = trial.suggest_categorical("kind", [str(kind) for kind in range(40)])
    depth = trial.suggest_int("depth", 1, 4)
    extra = trial.suggest_int("extra", 1, 3) if kind == "7" else 0
    order = trial.suggest_categorical("order", ["pruning quantization", "quantization pruning"])
    return Genotype("s", "p", {"kind": kind, "depth": depth, "extra": extra, "order": order})


def static(genotype: Genotype) -> dict[str, float]:
    return {"macs": float(genotype.architecture["depth"] + int(genotype.architecture["kind"]) / 50)}


def searched(count: int) -> tuple[SamplerContext, list[Record]]:
    """Random candidates, none of which asked the rare question."""
    context = SamplerContext(Ground(AXES, draw, static), 0)
    rng, records = random.Random(0), list[Record]()
    while len(records) < count:
        choices = context.random(rng.getrandbits(20))
        if choices["kind"] != "7":
            genotype = context.draw(choices)
            cost = static(genotype)["macs"]
            values = {"accuracy": 0.5 + cost / 12, "latency_ms": 2 * cost, "macs": cost}
            made = Record(len(records), genotype, "feasible", values, choices)
            records.append(made)
    return context, records


def test_a_question_that_is_met_late_is_no_trouble() -> None:
    context, records = searched(14)
    sampler = GuidedSampler()
    keys = {r.genotype.key for r in records}
    assert sampler.propose(History(records, [], keys), context) is not None
    late = context.complete({"kind": "7", "depth": 2, "extra": 3})
    values = {"accuracy": 0.7, "latency_ms": 4.0, "macs": 2.1}
    records.append(Record(99, context.draw(late), "feasible", values, late))
    again = sampler.propose(History(records, [], keys), context)
    assert again == GuidedSampler().propose(History(records, [], keys), context) is not None


def test_pending_candidates_leave_less_to_be_gained_near_them() -> None:
    context, records = searched(16)
    found = Evidence(losses_of(AXES, {}, ("macs",)), len(AXES), ("macs",))
    found.read(records)
    coder = Coder(context)
    knowledge = Knowledge(context, found, Memory(coder, Start(context, coder.drawn, 10)))
    pool = [context.random(number) for number in range(900, 930)]
    guessed = knowledge.guessed(pool)

    def gains() -> np.ndarray:
        return knowledge.boxes().expected(knowledge.beliefs(pool, guessed)[0])

    before = gains()
    best = int(before.argmax())
    knowledge.believe([Proposal(99, context.draw(pool[best]), pool[best], "sampler")], {})
    after = gains()
    # The mean of a log-normal loss falls a little as it is doubted less.
    assert after[best] < 0.7 * before[best] and (after <= 1.001 * before).all()


def test_how_far_a_training_came_counts_before_it_ends() -> None:
    context, told = searched(16)
    told = [replace(r, curve=(r.values["accuracy"] - 0.2, r.values["accuracy"])) for r in told]
    open_one = context.complete({"kind": "9", "depth": 4})
    proposal = Proposal(99, context.draw(open_one), open_one, "sampler")
    expected = []
    for reached in (0.2, 0.7):
        found = Evidence(losses_of(AXES, {}, ("macs",)), len(AXES), ("macs",))
        found.read(told)
        coder = Coder(context)
        knowledge = Knowledge(context, found, Memory(coder, Start(context, coder.drawn, 10)))
        paused = Record(99, proposal.genotype, "stopped", choices=open_one, curve=(reached,))
        knowledge.believe([proposal], {99: paused})
        beliefs, _ = knowledge.beliefs([open_one], knowledge.guessed([open_one]))
        expected.append(1 - float(np.exp(beliefs[0].mean[0])))
    assert expected[1] > expected[0] + 1e-3
