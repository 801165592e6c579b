"""How far estimates can be trusted: what checks tell, what a study learns, what ranks untrained."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.analysis.agreement import Agreement, correlate, read_checks
from orchestrator.contracts.objective import Axis
from orchestrator.errors import RunError
from orchestrator.plugins import installed
from orchestrator.records import Check, Genotype, Record
from orchestrator.study import Study
from orchestrator.study.run_folder import RunFolder

AXES = (Axis("accuracy", "share", "maximize", 0.0), Axis("macs", "MACs", "minimize", 1e8))


def record(number: int, **values: float) -> Record:
    """A feasible candidate; one with a higher number is larger and more accurate."""
    known = {"accuracy": 0.5 + 0.05 * number, "macs": 1e6 * 2.0**number, **values}
    genotype = Genotype("toy", "small", {"number": number})
    return Record(number, genotype, "feasible", known, curve=(known["accuracy"],))


def check(number: int, estimated: float, trained: float, epochs: int = 2, **changes: Any) -> Check:
    fields = {**vars(record(number, accuracy=trained)), **changes}
    return Check(Record(**fields), estimated, trained, epochs, macs=1e6 * 2.0**number)


def checks(*pairs: tuple[float, float]) -> list[Check]:
    return [check(number, *pair) for number, pair in enumerate(pairs)]


def study(folder: Path, records: list[Record], estimator: str = "supernet") -> Study:
    plan: Any = SimpleNamespace(
        axes=AXES, leading="accuracy", ranges={"macs": (0, 1), "zen": (0, 1)}
    )
    config: Any = SimpleNamespace(estimator=SimpleNamespace(name=estimator))
    return Study(config, RunFolder(folder), plan, installed(), records=records)


def test_the_sentence_says_both_taus_and_of_how_many() -> None:
    told = Agreement(checks((0.2, 0.6), (0.3, 0.7), (0.5, 0.9), (0.6, 0.8))).sentence
    assert told.startswith("estimates against further training: Kendall's tau 0.67, ")
    assert told.endswith(" at given MACs, over 4 candidates.")


def test_too_few_checks_are_unknown() -> None:
    told = Agreement(checks((0.2, 0.6), (0.3, 0.7))).sentence
    assert "tau unknown, unknown at given MACs, over 2 candidates." in told
    assert Agreement().tau is None


def test_an_opposite_order_is_poor_and_advised_against() -> None:
    poor = Agreement(checks(*((0.9 - n / 10, 0.5 + n / 10 + n % 2 / 100) for n in range(6))))
    assert poor.tau == -1.0
    assert "budget.checked" in poor.advice and poor.sentence.endswith(poor.advice)
    assert not Agreement(poor.checks[:5]).advice  # too few to advise anything


def test_good_estimates_need_no_advice() -> None:
    wobble = [0.0, 0.03, -0.03, 0.02, -0.02, 0.03, 0.0]
    assert not Agreement(checks(*((n / 10 + w, n / 10 + w) for n, w in enumerate(wobble)))).advice


def test_an_estimate_that_only_knows_size_is_poor() -> None:
    wobble = [0.02, -0.02, -0.02, 0.02, 0.02, -0.02]
    size = Agreement(checks(*((n / 10 - w / 9, n / 10 + w) for n, w in enumerate(wobble))))
    assert size.tau == 1.0
    assert size.tau_at_macs is not None and size.tau_at_macs < 0
    assert size.advice


def test_only_the_first_rung_counts() -> None:
    first = checks((0.2, 0.6), (0.3, 0.7), (0.5, 0.9))
    longer = [check(0, 0.2, 0.99, epochs=6), check(1, 0.3, 0.5, epochs=6)]
    trust = Agreement.of([*longer, *first])
    assert trust.checks == first
    assert trust.tau == 1.0


def test_a_check_that_broke_tells_nothing() -> None:
    failed = check(1, 0.3, 0.0, outcome="failed")
    untrained = check(2, 0.4, 0.0, outcome="rejected", curve=())
    assert [c.number for c in Agreement.of([*checks((0.2, 0.6)), failed, untrained]).checks] == [0]


def test_checks_are_read_again_and_a_torn_file_is_none(tmp_path: Path) -> None:
    written = [check(1, 0.3, 0.7), check(0, 0.2, 0.6), check(0, 0.2, 0.8, epochs=6)]
    for one in written:
        name = f"{one.number:04d}-{one.epochs:03d}.json"
        (tmp_path / name).write_text(json.dumps(one.to_json()))
    (tmp_path / "0002-002.json").write_text('{"record": {"number": 2')
    assert [(c.number, c.epochs) for c in read_checks(tmp_path)] == [(0, 2), (1, 2), (0, 6)]
    assert read_checks(tmp_path)[1] == written[0]
    assert read_checks(tmp_path / "missing") == []


@pytest.mark.parametrize("told", ["[]", '{"estimated": 0.5}'])
def test_a_check_of_another_shape_is_named(tmp_path: Path, told: str) -> None:
    (tmp_path / "0003-002.json").write_text(told)
    with pytest.raises(RunError, match=r"0003-002\.json is damaged"):
        read_checks(tmp_path)


def test_a_study_takes_a_candidate_for_what_its_longest_training_says(tmp_path: Path) -> None:
    searched = study(tmp_path, [record(0), record(1)])
    longer, first = check(1, 0.55, 0.9, epochs=6), check(1, 0.55, 0.8)
    searched.learn([longer])
    searched.learn([first, first])
    searched.learn([longer])
    assert searched.checks == [first, longer]
    assert [r.values["accuracy"] for r in searched.records] == [0.5, 0.9]
    assert searched.agreement.checks == [first]


def variant(of: int, number: int, runtime: str, accuracy: float) -> Record:
    """One of another training's, with what it reached."""
    trained = record(of, accuracy=accuracy)
    genotype = replace(trained.genotype, runtime=runtime)
    return replace(trained, number=number, network=of, genotype=genotype, curve=())


def test_a_check_says_what_each_variant_of_the_network_is_worth(tmp_path: Path) -> None:
    known = [record(0), variant(0, 1, "fast", 0.4), variant(0, 2, "slow", 0.4), record(3)]
    searched = study(tmp_path, known)
    told = check(0, 0.5, 0.9)
    failed = replace(variant(0, 0, "slow", 0.1), outcome="failed")
    brought = (variant(0, 0, "fast", 0.8), failed)
    searched.learn([replace(told, record=replace(told.record, variants=brought))])
    assert [r.values["accuracy"] for r in searched.records] == [0.9, 0.8, 0.4, 0.65]
    assert [(r.number, r.network) for r in searched.records] == [
        (0, None),
        (1, 0),
        (2, 0),
        (3, None),
    ]
    assert not any(r.variants for r in searched.records)


def test_a_failed_check_leaves_the_estimate(tmp_path: Path) -> None:
    searched = study(tmp_path, [record(0)])
    searched.learn([check(0, 0.5, 0.0, outcome="failed")])
    assert searched.records == [record(0)]
    assert searched.agreement.checks == []


def test_checked_candidates_have_their_estimate_in_the_table(tmp_path: Path) -> None:
    searched = study(tmp_path, [record(0), record(1)])
    searched.write_tables()
    assert "estimated_accuracy" not in rows(tmp_path)[0]
    searched.learn([check(1, 0.55, 0.8)])
    searched.write_tables()
    assert [row["estimated_accuracy"] for row in rows(tmp_path)] == ["", "0.55"]
    assert rows(tmp_path)[1]["accuracy"] == "0.8"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "candidates.csv").open() as file:
        return list(csv.DictReader(file))


def test_objectives_are_held_against_accuracies() -> None:
    records = [record(n, zen=-float(n), odd=math.nan) for n in range(5)]
    macs, zen = correlate(records, ["macs", "zen", "odd", "missing"])
    assert (macs.name, macs.tau, macs.tau_at_macs, macs.count) == ("macs", 1.0, None, 5)
    assert (zen.name, zen.tau) == ("zen", -1.0)


def test_what_an_objective_knows_beyond_size_is_told() -> None:
    wobble = [0.02, -0.01, 0.015, -0.02, 0.01, -0.015]
    records = [
        record(n, accuracy=0.5 + 0.05 * n + w, zen=20 - n + 100 * w, params=3e3 * 2.0**n)
        for n, w in enumerate(wobble)
    ]
    zen, params = correlate(records, ["zen", "params"])
    assert zen.tau is not None and zen.tau < 0
    assert zen.tau_at_macs is not None and zen.tau_at_macs > 0.8
    assert params.tau_at_macs is None  # a power of multiply-adds: known from them


@pytest.mark.parametrize("outcome", ["failed", "stopped"])
def test_accuracies_that_are_not_final_do_not_count(outcome: Any) -> None:
    plain = record(0)
    other = Record(1, plain.genotype, outcome, plain.values)
    assert [c.count for c in correlate([plain, other], ["macs"])] == [1]


def test_predicted_accuracies_count_only_where_they_were_checked(tmp_path: Path) -> None:
    found = [record(n) for n in range(4)]
    trained = checks((0.2, 0.6), (0.3, 0.7))
    for estimator, count in (("supernet", 4), ("proxy", 2)):
        searched = study(tmp_path, found, estimator)
        searched.learn(trained)
        assert [(c.name, c.count) for c in searched.correlations] == [("macs", count)]
