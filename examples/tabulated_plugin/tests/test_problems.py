"""The problems on which samplers are compared: what they tell follows from the network alone."""

from __future__ import annotations

import pytest
from orchestrator_tabulated.problems import PROBLEMS

from orchestrator import Ground, SamplerContext


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_network_is_worth_the_same_whenever_it_is_asked(name: str) -> None:
    problem = PROBLEMS[name]()
    context = SamplerContext(Ground(problem.axes, problem.draw, problem.static), 0)
    told = [context.random(number) for number in range(30)]
    for choices in told:
        genotype = context.draw(choices)
        assert problem.trained(genotype, 3) == PROBLEMS[name]().trained(genotype, 3)
        assert 0.0 < problem.exact(genotype)["accuracy"] < 1.0
        known = problem.before(genotype, 3)
        assert known.keys() == {axis.name for axis in problem.axes[1:]} | set(
            context.static(choices)
        )
    assert len({problem.exact(context.draw(c))["cost"] for c in told}) > 10


def test_some_networks_fail_and_some_trainings_differ() -> None:
    noisy, failing = PROBLEMS["noisy-row"](), PROBLEMS["failures"]()
    context = SamplerContext(Ground(noisy.axes, noisy.draw), 0)
    genotype = context.draw(context.random(0))
    assert len({noisy.trained(genotype, seed) for seed in range(5)}) == 5
    context = SamplerContext(Ground(failing.axes, failing.draw), 0)
    failed = [failing.trained(context.draw(context.random(n)), 0) is None for n in range(200)]
    assert 5 < sum(failed) < 40
