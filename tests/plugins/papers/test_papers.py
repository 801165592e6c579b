"""The papers' searches: what each proposes on spaces of which all is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchestrator_papers.answers import with_answers
from orchestrator_papers.compound import CompoundSampler
from orchestrator_papers.netadapt import NetAdaptSampler
from orchestrator_papers.slimming import SlimmingSampler
from paper_searches import ACCURACY, COST, MS, asked_of, told

from orchestrator import Budget, Genotype, Ground, Sampler, SamplerContext, Trial
from orchestrator.errors import PluginError

# What a unit of width is worth and costs, stage by stage.
WORTH, PRICE = (0.01, 0.02, 0.06), (1.0, 4.0, 3.0)


def widths(genotype: Genotype) -> list[int]:
    return list(genotype.architecture["widths"])


def draw(trial: Trial) -> Genotype:
    """Three stages, each of a width; an operator that changes nothing."""
    trial.suggest_categorical("operator", ["relu", "swish"])
    found = [trial.suggest_int(f"{stage}.width", 1, 4) for stage in range(3)]
    return Genotype("stages", "small", {"widths": found})


def cost(genotype: Genotype) -> float:
    return sum(price * width for price, width in zip(PRICE, widths(genotype), strict=True))


def static(genotype: Genotype) -> dict[str, float]:
    return {"cost": cost(genotype)}


def truth(genotype: Genotype) -> dict[str, float]:
    """Accuracy and all costs; the second stage is slower than it is dear."""
    gained = sum(worth * width for worth, width in zip(WORTH, widths(genotype), strict=True))
    slow = 0.1 * widths(genotype)[1]
    return {"accuracy": 0.5 + gained, "cost": cost(genotype), "latency_ms": 1.0 + slow}


def ground(**changes: Any) -> Ground:
    return replace(Ground((ACCURACY, COST), draw, static), **changes)


# --- netadapt ---------------------------------------------------------------------------------


def test_a_descent_goes_by_what_loses_least_for_what_it_saves(tmp_path: Path) -> None:
    found = told(asked_of(tmp_path, NetAdaptSampler(step=0.05), ground()), 7, truth)
    # A step of the first stage saves 1 of 32: two are needed.
    assert [widths(genotype) for genotype in found] == [
        [4, 4, 4],
        [2, 4, 4],
        [4, 3, 4],
        [4, 4, 3],
        [2, 3, 4],  # from the second, as that lost 0.02 for 4; the first lost it for 2
        [4, 2, 4],
        [4, 3, 3],
    ]


def test_the_most_accurate_of_a_round_goes_on_where_that_is_asked_for(tmp_path: Path) -> None:
    worth = {(2, 4, 4): 0.9, (4, 3, 4): 0.8, (4, 4, 3): 0.7}

    def known(genotype: Genotype) -> dict[str, float]:
        return {**static(genotype), "accuracy": worth.get(tuple(widths(genotype)), 0.95)}

    found = told(
        asked_of(tmp_path, NetAdaptSampler(step=0.05, pick="accuracy"), ground()), 5, known
    )
    assert widths(found[-1])[0] <= 2


def test_a_measured_latency_decides_and_a_static_cost_sizes_steps(tmp_path: Path) -> None:
    on = ground(axes=(ACCURACY, COST, MS))
    found = told(asked_of(tmp_path, NetAdaptSampler(step=0.05), on), 5, truth)
    assert widths(found[-1])[1] == 3  # the only one that was faster
    plain = asked_of(tmp_path / "plain", NetAdaptSampler(), ground(static=lambda genotype: {}))
    assert [widths(g) for g in told(plain, 3, truth)] == [[4, 4, 4], [3, 4, 4], [4, 3, 4]]


def test_a_descent_begins_within_the_budgets_and_where_training_works(tmp_path: Path) -> None:
    limited = ground(budgets={"cost": Budget(max=24.0)})
    assert [widths(g) for g in told(asked_of(tmp_path, NetAdaptSampler(), limited), 1, truth)] == [
        [3] * 3
    ]

    def failing(genotype: Genotype) -> dict[str, float]:
        return {} if cost(genotype) > 25 else truth(genotype)

    found = told(asked_of(tmp_path / "failing", NetAdaptSampler(), ground()), 2, failing)
    assert [widths(genotype) for genotype in found] == [[4] * 3, [3] * 3]


def test_while_a_round_is_out_nobody_waits(tmp_path: Path) -> None:
    asked = asked_of(tmp_path, NetAdaptSampler(step=0.05), ground())
    out = [asked.propose() for _ in range(7)]
    keys = [proposal.genotype.key for proposal in out if proposal]
    assert len(set(keys)) == 7


def test_after_its_end_a_descent_draws_what_keeps_the_budgets(tmp_path: Path) -> None:
    limited = ground(budgets={"cost": Budget(max=22.0)})
    found = told(asked_of(tmp_path, NetAdaptSampler(step=0.5), limited), 30, truth)
    assert len({genotype.key for genotype in found}) == 30
    assert max(cost(genotype) for genotype in found) <= 22


@pytest.mark.parametrize("made", [NetAdaptSampler, CompoundSampler, SlimmingSampler])
def test_a_resumed_search_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, made: Callable[[], Sampler]
) -> None:
    folder = tmp_path / "whole"
    whole = told(asked_of(folder, made(), ground(draw=draw_scaled, static=size)), 12, judged)
    halves = [
        genotype
        for _ in range(2)
        for genotype in told(
            asked_of(tmp_path, made(), ground(draw=draw_scaled, static=size)), 6, judged
        )
    ]
    assert halves == whole


# --- compound ---------------------------------------------------------------------------------


def draw_scaled(trial: Trial) -> Genotype:
    """Depth, width and resolution; each block has a kernel."""
    depth = trial.suggest_int("depth", 2, 16)
    kernels = [
        trial.suggest_categorical(f"blocks.{block}.kernel", [3, 5]) for block in range(depth)
    ]
    found = {"kernels": kernels, "width": trial.suggest_int("width", 8, 64)}
    found["resolution"] = trial.suggest_categorical("resolution", [1.0, 1.4, 2.0, 2.8, 4.0])
    return Genotype("scaled", "small", found)


def size(genotype: Genotype) -> dict[str, float]:
    """Multiply-adds, of kernels of one size."""
    found = genotype.architecture
    cubes = len(found["kernels"]) * found["width"] ** 2 * found["resolution"] ** 2
    return {"cost": float(cubes)}


def judged(genotype: Genotype) -> dict[str, float]:
    """Width alone is worth anything."""
    return {**size(genotype), "accuracy": genotype.architecture["width"] / 100}


def shape(genotype: Genotype) -> tuple[int, int, float]:
    found = genotype.architecture
    return len(found["kernels"]), found["width"], found["resolution"]


SCALED = ground(draw=draw_scaled, static=size)


def test_the_grid_doubles_the_cost_of_the_smallest_network(tmp_path: Path) -> None:
    found = told(asked_of(tmp_path, CompoundSampler(), SCALED), 11, judged)
    base = size(found[0])["cost"]
    assert shape(found[0]) == (2, 8, 1.0)
    assert {(4, 8, 1.0), (2, 11, 1.0), (2, 8, 1.4)} <= {shape(genotype) for genotype in found}
    assert all(1.5 <= size(genotype)["cost"] / base < 3.0 for genotype in found[1:])


def test_the_best_of_the_grid_scales_on(tmp_path: Path) -> None:
    found = [shape(g) for g in told(asked_of(tmp_path, CompoundSampler(), SCALED), 20, judged)]
    # β is √2: 8 → 11 → 16 → 23 → 32 …
    narrow = [width for depth, width, resolution in found if (depth, resolution) == (2, 1.0)]
    assert [width for width in narrow if width >= 11][:6] == [11, 16, 23, 32, 45, 64]


def test_new_blocks_are_like_the_block_before() -> None:
    context = SamplerContext(SCALED, 0)
    choices = context.complete({"depth": 2, "blocks.0.kernel": 3, "blocks.1.kernel": 5})
    deeper = with_answers(context, choices, {"depth": 5})
    assert [deeper[f"blocks.{block}.kernel"] for block in range(5)] == [3, 5, 5, 5, 5]


def first_after(folder: Path, sampler: Sampler) -> list[tuple[int, int, float]]:
    asked = asked_of(folder, sampler, SCALED)
    for name, answers in {"large": (8, 32, 2.0), "base": (4, 16, 1.0)}.items():
        depth, width, resolution = answers
        point = {"depth": depth, "width": width, "resolution": resolution}
        asked.suggest_first({**point, **{f"blocks.{n}.kernel": 5 for n in range(depth)}}, name)
    return [shape(genotype) for genotype in told(asked, 17, judged)][2:]


def test_the_baseline_is_the_cheapest_named_network_or_the_one_named(tmp_path: Path) -> None:
    assert (8, 16, 1.0) in first_after(tmp_path / "cheapest", CompoundSampler())
    assert (16, 32, 2.0) in first_after(tmp_path / "named", CompoundSampler(base="large"))
    with pytest.raises(PluginError, match=r"sampler\.base=lagre: did you mean 'large'"):
        first_after(tmp_path / "wrong", CompoundSampler(base="lagre"))


# --- what does not fit ------------------------------------------------------------------------


def draw_switches(trial: Trial) -> Genotype:
    return Genotype(
        "switches", "small", {"on": trial.suggest_categorical("on", ["sum", "product"])}
    )


SWITCHES = ground(draw=draw_switches, static=lambda genotype: {})


@pytest.mark.parametrize(
    ("sampler", "on", "wanted"),
    [
        (CompoundSampler(), SWITCHES, "no numbers to choose for depth, width, resolution; the sp"),
        (NetAdaptSampler(), ground(axes=(COST,)), "cost has no objective that only training tells"),
        (NetAdaptSampler(cost="energy"), ground(), "expects cost=energy among .* found: cost"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_paid(
    tmp_path: Path, sampler: Sampler, on: Ground, wanted: str
) -> None:
    with pytest.raises(PluginError, match=wanted):
        asked_of(tmp_path, sampler, on)


def test_a_space_of_which_nothing_can_be_reduced_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="reduces one choice after the other, and no choice"):
        asked_of(tmp_path, NetAdaptSampler(), SWITCHES).propose()
