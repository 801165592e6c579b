"""Samplers: what they are given, how they are held to it, a third party's in the loop."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front_evolution import FrontEvolution
from offering import offering
from toys import SPACE_SIZE

from orchestrator import (
    Axis,
    Budget,
    Choices,
    Genotype,
    History,
    Offer,
    Question,
    Record,
    Sampler,
    SamplerContext,
    Trial,
    hookimpl,
)
from orchestrator.contracts import Ground
from orchestrator.errors import ConfigError, PluginError
from orchestrator.plugins import Plugins, installed
from orchestrator.search import samplers
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer
from orchestrator.testing.sampler import check_sampler
from orchestrator.testing.toys import ToySpace

AXES = (Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0))
BUDGETS = {"params": Budget(max=9.0)}


def draw(trial: Trial) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def static(genotype: Genotype) -> dict[str, float]:
    return {"params": float(sum(genotype.architecture["widths"]))}


def context(seed: int = 0) -> SamplerContext:
    return SamplerContext(Ground(AXES, draw, static, BUDGETS), seed)


def proposer(folder: Path, made: Any) -> Proposer:
    ground = Ground(AXES, draw, static, BUDGETS)
    return Proposer(folder / "study.journal", ground, lambda seed: made)


def told(asked: Proposer, count: int) -> list[Record]:
    """So many candidates proposed and evaluated."""
    for _ in range(count):
        proposal = asked.propose()
        if proposal is None:
            break
        values = static(proposal.genotype)
        over = BUDGETS["params"].excess(values["params"])
        if not over:
            values["accuracy"] = proposal.genotype.architecture["widths"][0] / 4
        outcome: Any = "rejected" if over else "feasible"
        broken = {"params": over} if over else {}
        record = Record(proposal.number, proposal.genotype, outcome, values, proposal.choices)
        asked.tell(Record(**{**vars(record), "violations": broken}))
    return list(asked.records.values())


class Saying(Sampler):
    """Proposes what a function says."""

    def __init__(self, says: Callable[[History, SamplerContext], Any]) -> None:
        self.says = says

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        return self.says(history, context)


# --- the contract -----------------------------------------------------------------------------


def test_a_third_party_s_sampler_passes_the_suite() -> None:
    check_sampler(FrontEvolution())


@pytest.mark.parametrize(
    "name", ["guided", "slimming", "netadapt", "compound", "tpe", "nsga2", "nsga3", "gp", "random"]
)
def test_built_in_samplers_pass_the_suite(name: str) -> None:
    made = installed().create("sampler", name, {}, given={"seed": 1})
    check_sampler(samplers.adapted(made))


class Shaken(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        random.random()
        return super().propose(history, context)


class Moody(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        return {**context.random(), "w": random.SystemRandom().choice([2, 3, 4, 5])}


class Stuck(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        return {"depth": 1, "block0": "plain", "w": 2}


class Impossible(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        return {"depth": 9}


class Tidying(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        for record in history.records:
            record.values.clear()
        return None


class Foreign(FrontEvolution):
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        return {"w": np.int64(3)}


@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        (Shaken, "the random state of Python's"),
        (Moody, "other proposals"),
        (Stuck, "known or pending already"),
        (Tidying, "records are read, never changed"),
    ],
)
def test_the_suite_refuses_what_breaks_the_contract(broken: type[Sampler], wanted: str) -> None:
    with pytest.raises(AssertionError, match=wanted):
        check_sampler(broken())


@pytest.mark.parametrize("broken", [Impossible, Foreign])
def test_the_suite_refuses_answers_that_cannot_be(broken: type[Sampler]) -> None:
    with pytest.raises((ConfigError, TypeError)):
        check_sampler(broken())


# --- what a sampler is given ------------------------------------------------------------------


def test_open_answers_are_drawn_alike_and_closed_ones_kept() -> None:
    asked = context()
    given = asked.complete({"kind": "deep", "second": 6})
    assert given["second"] == 6 and set(given) == {"kind", "width", "second"}
    assert asked.complete({"second": 6, "kind": "deep"}) == given == context().complete(given)
    plain = {"kind": "plain", "width": 2}
    assert asked.complete({**plain, "second": 6}) == plain
    assert asked.draw(given) == asked.draw({"kind": "deep", "second": 6})
    with pytest.raises(ConfigError, match="width=9"):
        asked.draw({"width": 9})


@pytest.mark.parametrize("options", [(1, True), ([3, 5], [5, 3])])
def test_answers_that_look_alike_are_drawn_as_they_are(options: tuple[Any, ...]) -> None:
    def of(trial: Trial) -> Genotype:
        return Genotype("toy", "small", {"kind": trial.suggest_categorical("kind", options)})

    asked = SamplerContext(Ground(AXES, of), 0)
    for answer in options:
        assert repr(asked.draw({"kind": answer}).architecture["kind"]) == repr(answer)


def test_random_answers_differ_from_call_to_call_and_not_from_seed_to_seed() -> None:
    first, again, other = context(1), context(1), context(2)
    draws = [[asked.random() for _ in range(8)] for asked in (first, again, other)]
    assert draws[0] == draws[1] != draws[2]
    assert len({str(choices) for choices in draws[0]}) > 3


def test_numbered_draws_are_the_same_in_a_resumed_search() -> None:
    first = SamplerContext(Ground(AXES, draw, static, BUDGETS), 1)
    resumed = SamplerContext(Ground(AXES, draw, static, BUDGETS), 7920, 1)
    first.random()
    assert [first.random(n) for n in range(8)] == [resumed.random(n) for n in range(8)]
    assert first.complete({"kind": "deep"}) == resumed.complete({"kind": "deep"})


def test_static_values_are_exact_and_counted_once() -> None:
    counted: list[str] = []

    def counting(genotype: Genotype) -> dict[str, float]:
        counted.append(genotype.key)
        return static(genotype)

    asked = SamplerContext(Ground(AXES, draw, counting, BUDGETS), 0)
    deep = {"kind": "deep", "width": 4, "second": 7}
    assert asked.static(deep) == asked.static(dict(deep)) == {"params": 11.0}
    assert len(counted) == 1
    assert asked.violations(asked.static(deep)) == {"params": 2.0}
    assert asked.violations(asked.static({"kind": "plain", "width": 4})) == {}


def test_codes_are_as_far_apart_as_answers_differ() -> None:
    asked = context()
    for choices in ({"kind": "plain", "width": 1}, {"kind": "deep", "width": 1, "second": 5}):
        asked.complete(choices)
    codes = {
        name: asked.encode(choices)
        for name, choices in {
            "plain": {"kind": "plain", "width": 1},
            "wider": {"kind": "plain", "width": 2},
            "widest": {"kind": "plain", "width": 4},
            "deep": {"kind": "deep", "width": 1, "second": 5},
            "other": {"kind": "deep", "width": 1, "second": 7},
        }.items()
    }

    def far(one: str, two: str) -> float:
        return float(((codes[one] - codes[two]) ** 2).sum())

    assert {len(code) for code in codes.values()} == {len(asked.columns)}
    assert far("deep", "other") == pytest.approx(1.0)
    assert far("plain", "wider") == pytest.approx(0.5 + 0.5 / 3)
    assert far("plain", "widest") == pytest.approx(1.0)
    assert far("plain", "deep") == pytest.approx(2.0)  # another kind, and a question more


def test_new_questions_add_columns_at_the_end() -> None:
    asked = context()
    plain = {"kind": "plain", "width": 3}
    before = asked.encode(plain)
    asked.encode({"kind": "deep", "width": 3, "second": 6})
    after = asked.encode(plain)
    assert list(asked.questions) == ["kind", "width", "second"]
    assert np.array_equal(after, np.pad(before, (0, len(after) - len(before))))
    assert asked.columns[len(before) :] == ("second",) * 4


def test_real_and_very_long_questions_take_two_columns() -> None:
    share = Question("share", "real", (0.0, 4.0))
    size = Question("size", "ordered", range(32, 1025, 8))
    assert share.code(3.0)[1] == 0.75 and size.code(1024)[1] == 1.0
    assert share.columns == size.columns == 2
    switch = Question("switch", "categorical", (False, 0, 1, True))
    assert switch.code(False) != switch.code(0) and switch.code(1) != switch.code(True)


def test_a_question_knows_its_numbers_and_those_below_an_answer() -> None:
    kernels = Question("kernel", "categorical", (5, 3, 7))
    assert (list(kernels.numbers), kernels.below(7), kernels.below(3)) == ([3, 5, 7], [3, 5], [])
    for options in (("relu", 3), (False, True)):
        mixed = Question("mixed", "categorical", options)
        assert (mixed.numbers, mixed.below(options[1])) == ([], [])
    share = Question("share", "real", (0.0, 4.0))
    assert (share.below(3.0), share.below(0.0)) == ([0.0, 3.0], [])


def test_history_tells_pending_ones_failures_and_budgets(tmp_path: Path) -> None:
    asked = proposer(tmp_path, FrontEvolution())
    told(asked, 6)
    open_one = asked.propose()
    assert open_one is not None
    history = asked.history
    assert [p.number for p in history.pending] == [open_one.number]
    assert history.knows(open_one.genotype) and history.knows(history.records[0].genotype)
    assert any(record.violations for record in history.records)
    again = proposer(tmp_path, FrontEvolution()).history
    assert again.records == history.records and again.pending == history.pending


def test_history_tells_how_far_those_came_that_go_on(tmp_path: Path) -> None:
    asked = proposer(tmp_path, FrontEvolution())
    open_one = asked.propose()
    assert open_one is not None
    paused = Record(open_one.number, open_one.genotype, "stopped", curve=(0.3,))
    asked.climb(paused)
    assert asked.history.climbing == {open_one.number: paused}
    again = proposer(tmp_path, FrontEvolution())
    assert again.history.climbing == {open_one.number: paused}
    again.tell(paused)
    assert not again.history.climbing


# --- in the proposer and in the loop ----------------------------------------------------------


def test_a_sampler_that_counts_ahead_breaks_no_static_budget(tmp_path: Path) -> None:
    evolution, proposed = FrontEvolution(start=4), list[Choices]()

    def watched(history: History, context: SamplerContext) -> Choices | None:
        choices = evolution.propose(history, context)
        proposed.extend([choices] if choices else [])
        return choices

    told(proposer(tmp_path, Saying(watched)), 12)
    assert len(proposed) > 3
    assert not any(context().violations(context().static(choices)) for choices in proposed)


def test_a_used_up_space_ends_whatever_is_proposed(tmp_path: Path) -> None:
    stuck = Saying(lambda history, context: {"kind": "plain", "width": 1})
    assert len(told(proposer(tmp_path, stuck), 99)) == SPACE_SIZE


def test_what_a_sampler_leaves_open_is_drawn(tmp_path: Path) -> None:
    partial = Saying(lambda history, context: {"kind": "deep"})
    asked = proposer(tmp_path, partial)
    found = asked.propose()
    assert found is not None and found.choices["kind"] == "deep" and "second" in found.choices
    assert found.origin == "sampler"


def test_a_proposal_that_was_only_queued_is_the_first_after_a_restart(tmp_path: Path) -> None:
    wanted = {"kind": "deep", "width": 2, "second": 6}
    asked = proposer(tmp_path, Saying(lambda history, context: wanted))
    asked._ask_sampler()  # and the process dies
    found = proposer(tmp_path, Saying(lambda history, context: None)).propose()
    assert found is not None and found.choices == wanted


def test_named_points_come_before_the_sampler_s(tmp_path: Path) -> None:
    asked = proposer(tmp_path, Saying(lambda history, context: {"kind": "plain", "width": 1}))
    asked.suggest_first({"kind": "plain", "width": 4}, "wide")
    assert [p.origin for p in (asked.propose(), asked.propose()) if p] == ["wide", "sampler"]


@pytest.mark.parametrize(
    ("says", "wanted"),
    [
        (lambda history, context: {"width": 77}, "'Saying' proposed what cannot be: width=77"),
        (lambda history, context: 1 / 0, "'Saying' raised ZeroDivisionError"),
    ],
)
def test_a_sampler_that_errs_is_named(tmp_path: Path, says: Any, wanted: str) -> None:
    with pytest.raises(PluginError, match=wanted):
        proposer(tmp_path, Saying(says)).propose()


def test_what_is_no_sampler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="a sampler is a dict, expected"):
        proposer(tmp_path, {})


@pytest.fixture
def offered() -> Any:
    """The third party's sampler as an installed plugin offers it."""

    class Plugin:
        @hookimpl
        def orchestrator_samplers(self) -> list[Offer]:
            return [
                Offer("front_evolution", "front_evolution:FrontEvolution", ""),
                Offer("theirs", "test_sampler:theirs", ""),
            ]

    with offering(Plugin(), "evolving") as plugins:
        yield plugins


def theirs(*, seed: int) -> Any:
    """A third party's callable as it always was: it returns one of Optuna's."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def test_a_callable_that_returns_optuna_s_goes_on(offered: Plugins, tmp_path: Path) -> None:
    made = offered.create("sampler", "theirs", {}, given={"seed": 3})
    assert len(told(proposer(tmp_path, made), 99)) == SPACE_SIZE


def _run(folder: Path, made: Any, candidates: int) -> list[Record]:
    (folder / "calls").mkdir()
    job = Job("toys:tabulated", {"folder": str(folder / "calls"), "most": 9})
    asked = proposer(folder, made)
    heard: list[Record] = []
    search(asked, job, Resources(concurrent=2), Limits(candidates), Callbacks(heard.append))
    return heard


def test_a_third_party_s_sampler_runs_in_the_loop(
    cluster: Cluster, offered: Plugins, tmp_path: Path
) -> None:
    made = offered.create("sampler", "front_evolution", {"start": 3}, given={"seed": 3})
    heard = _run(tmp_path, made, 7)
    assert sum(record.outcome == "feasible" for record in heard) >= 7
    assert len({record.genotype.key for record in heard}) == len(heard)


def test_a_sampler_that_errs_ends_the_loop_with_its_name(cluster: Cluster, tmp_path: Path) -> None:
    def late(history: History, context: SamplerContext) -> None:
        if len(history.records) >= 3:
            raise RuntimeError("no more")

    with pytest.raises(PluginError, match="'Saying' raised RuntimeError"):
        _run(tmp_path, Saying(late), 9)
    assert len(proposer(tmp_path, Saying(late)).records) >= 3


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_of_optuna_s_that_repeats_itself_is_passed_over(tmp_path: Path) -> None:
    from optuna.samplers import PartialFixedSampler, RandomSampler

    stuck = PartialFixedSampler({"kind": "plain", "width": 2}, RandomSampler(seed=0))
    asked = proposer(tmp_path, stuck)
    assert len(told(asked, 4)) == 4
    assert asked._study.sampler is stuck
