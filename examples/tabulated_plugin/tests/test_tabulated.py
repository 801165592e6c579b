"""The space and the estimator fulfil their contracts, and a thousand candidates are seconds."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from orchestrator_tabulated.estimator import TabulatedEstimator
from orchestrator_tabulated.space import TabulatedSpace, architectures
from orchestrator_tabulated.table import DEFAULT, read_table, word

from orchestrator import Axis, Classes, Genotype, ImageFacts
from orchestrator.errors import ConfigError, TrainingError
from orchestrator.testing.space import check_space

AXES = (
    Axis("accuracy", "share", "maximize", reference=0.0),
    Axis("params", "parameters", "minimize", reference=40_000.0),
)
FACTS = ImageFacts.unnamed(8, in_channels=1)


def figures(genotype: Genotype) -> dict[str, float]:
    """From the table, and counted."""
    network = TabulatedSpace().build(genotype.architecture, FACTS, Classes(10))
    counted = sum(parameter.numel() for parameter in network.parameters())
    return {"accuracy": read_table(DEFAULT)[word(genotype.architecture)][-1], "params": counted}


def genotype(**more: object) -> Genotype:
    layer = {"operator": "separable", "kernel": 3, "width": 8}
    return Genotype("tabulated", "small", {"layers": [{**layer, **more}]})


def looked_up(chosen: Genotype, table: Path | None = None, on_epoch=None):
    """The estimator's answer; it asks no more of its context than `on_epoch`."""
    network = TabulatedSpace().build(genotype().architecture, FACTS, Classes(10))
    estimator = TabulatedEstimator(table=str(table) if table else None)
    return estimator.estimate(network, chosen, SimpleNamespace(on_epoch=on_epoch))


def test_the_space_fulfils_its_contract() -> None:
    check_space(TabulatedSpace(), image_size=8, in_channels=1, samples=6)


def test_the_table_has_every_network_and_no_other() -> None:
    assert set(read_table(DEFAULT)) == {word(architecture) for architecture in architectures()}
    assert len({len(curve) for curve in read_table(DEFAULT).values()}) == 1


def test_the_estimator_tells_the_table_s_curve() -> None:
    estimate = looked_up(genotype())
    assert estimate.curve == read_table(DEFAULT)["separable-3-8"]
    assert estimate.predicted == estimate.curve[-1] and not estimate.stopped


def test_a_hopeless_candidate_is_stopped() -> None:
    estimate = looked_up(genotype(), on_epoch=lambda epoch, accuracy: epoch < 2)
    assert estimate.curve == read_table(DEFAULT)["separable-3-8"][:2] and estimate.stopped


def test_what_the_table_does_not_have_is_named() -> None:
    with pytest.raises(TrainingError, match="does not have separable-3-9"):
        looked_up(genotype(width=9))
    with pytest.raises(TrainingError, match="space=tabulated"):
        looked_up(replace(genotype(), space="tiny"))


def test_what_is_no_table_is_a_configuration_error(tmp_path: Path) -> None:
    strange = tmp_path / "table.csv"
    strange.write_text("separable-3-8,good\n")
    for path in (strange, tmp_path / "missing.csv"):
        with pytest.raises(ConfigError, match="is no table"):
            looked_up(genotype(), path)


def test_a_thousand_candidates_are_seconds_and_find_the_best(quick_study) -> None:
    start = time.process_time()
    study = quick_study(TabulatedSpace(), figures, candidates=1000, axes=AXES, sampler=at_random)
    seconds = time.process_time() - start
    assert len({record.genotype.key for record in study.records}) == 1000
    best = max(curve[-1] for curve in read_table(DEFAULT).values())
    found = max(record.values["accuracy"] for record in study.front)
    print(f"\n1,000 candidates in {seconds:.1f} s of CPU time; best {found:.3f} of {best:.3f}")
    assert found >= best - 0.003
    assert seconds < 60


def at_random(seed: int):
    """What proposes at once; cleverer samplers take longer to think than the table to answer."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)
