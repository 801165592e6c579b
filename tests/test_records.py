from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import RunError
from orchestrator.records import Check, Finalist, Genotype, Latency, Record, Step, count_outcomes

HALF = (Step("pruning", {"ratio": 0.5}),)
GENOTYPE = Genotype("toy", "small", {"a": 1, "b": [True, 2.5]}, HALF)
OLD = json.loads(Path(__file__).with_name("genotypes_before_steps.json").read_text("utf-8"))
LATENCY = Latency(ms=1.5, ratio=0.5, low_ms=1.4, median_ms=1.6, high_ms=2.0, runs=60)
RECORD = Record(
    number=7,
    genotype=GENOTYPE,
    outcome="rejected",
    values={"params": 12.0},
    violations={"params": 2.0},
    curve=(0.1, 0.2),
    extra={"trained": True},
    latencies={"onnxruntime": LATENCY},
)


def through_a_file(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_the_order_of_keys_does_not_matter() -> None:
    other = Genotype("toy", "small", {"b": [True, 2.5], "a": 1}, HALF)
    assert other.key == GENOTYPE.key
    assert len(GENOTYPE.key) == 12


def test_whatever_decides_the_network_decides_the_key() -> None:
    others = [
        Genotype("toy", "full", GENOTYPE.architecture, HALF),
        Genotype("toy", "small", {"a": 2, "b": [True, 2.5]}, HALF),
        Genotype("toy", "small", {"a": 1, "b": [1, 2.5]}, HALF),
        GENOTYPE.plain(),
        replace(GENOTYPE, task="segmentation"),
        replace(GENOTYPE, head={"head.width": 8}),
    ]
    assert len({genotype.key for genotype in (GENOTYPE, *others)}) == 7


@pytest.mark.parametrize("old", OLD, ids=[old["key"] for old in OLD])
def test_a_genotype_from_before_there_were_steps_keeps_its_key(old: dict[str, Any]) -> None:
    genotype = Genotype.from_json(old["genotype"])
    assert genotype.key == old["key"]
    assert genotype.to_json() == old["genotype"]
    assert [step.name for step in genotype.compression] == sorted(old["genotype"]["compression"])


def test_two_orders_and_two_steps_of_one_name_are_genotypes_of_their_own() -> None:
    a, b = Step("a", {"x": 1}), Step("b", {"x": 1})
    told = [replace(GENOTYPE, compression=steps) for steps in ((a, b), (b, a), (a, a), (a,))]
    assert len({genotype.key for genotype in told}) == 4
    assert [Genotype.from_json(through_a_file(g.to_json())) for g in told] == told


def test_a_mapping_of_compressors_is_still_taken_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match=r"tuple of Step\(name, choices\)"):
        old = Genotype("toy", "small", {"a": 1}, {"b": {"x": 1}, "a": {"y": 2}})  # type: ignore[arg-type]
    assert old.compression == (Step("a", {"y": 2}), Step("b", {"x": 1}))


def test_the_choices_of_a_step() -> None:
    assert GENOTYPE.choices("pruning") == {"ratio": 0.5}
    assert GENOTYPE.choices("quantization") == {}


@pytest.mark.parametrize(
    "genotype",
    [GENOTYPE, replace(GENOTYPE, task="segmentation", head={"head.width": 8}), GENOTYPE.plain()],
)
def test_a_genotype_survives_its_file(genotype: Genotype) -> None:
    assert Genotype.from_json(through_a_file(genotype.to_json())) == genotype


def test_plain_keeps_task_and_head() -> None:
    dense = replace(GENOTYPE, task="segmentation", head={"head.width": 8})
    assert dense.plain() == replace(dense, compression=())


def test_a_record_survives_its_file() -> None:
    assert Record.from_json(through_a_file(RECORD.to_json())) == RECORD
    assert RECORD.id == f"0007-{GENOTYPE.key}"


def test_a_record_from_before_there_were_formats_is_read() -> None:
    old = through_a_file(RECORD.to_json())
    del old["format"], old["latencies"]
    assert Record.from_json(old) == replace(RECORD, latencies={})


def test_a_check_survives_its_file_and_is_read_without_a_format() -> None:
    check = Check(RECORD, 0.5, 0.75, 3, 1e6)
    told = through_a_file(check.to_json())
    assert Check.from_json(told) == check
    del told["format"]
    assert Check.from_json(told) == check


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "candidate 7 has format 2, .* a newer Orchestrator wrote it"),
        ({"format": "x"}, "candidate 7 has format 'x', this version reads 0 and 1"),
        ({"mood": "good"}, "candidate 7 tells of 'mood', which this version does not know"),
    ],
)
def test_a_record_of_another_version_says_so(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        Record.from_json({**RECORD.to_json(), **change})


def test_a_genotype_of_a_newer_version_says_so() -> None:
    with pytest.raises(RunError, match="a genotype tells of 'mood'"):
        Genotype.from_json({**GENOTYPE.to_json(), "mood": "good"})


FINALIST = Finalist(
    id=RECORD.id,
    number=7,
    name="toy #7, pruning",
    folder=f"models/{RECORD.id}",
    values={"accuracy": 0.9},
    figures={"test_accuracy": 0.9, "macs_note": "text"},
    marks=("smaller, not faster",),
    recommended=True,
    picks=("knee",),
)


def test_a_finalist_survives_its_file_and_is_read_without_a_format() -> None:
    told = through_a_file(FINALIST.to_json())
    assert Finalist.from_json(told) == FINALIST
    del told["format"], told["picks"]
    assert Finalist.from_json(told) == replace(FINALIST, picks=())


def test_a_finalist_of_a_newer_version_says_so() -> None:
    with pytest.raises(RunError, match=f"finalist {RECORD.id} has format 2"):
        Finalist.from_json({**FINALIST.to_json(), "format": 2})


def test_a_finalist_is_still_read_like_the_dictionary_it_was_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match=r"read finalist.marks, not finalist\['marks'\]"):
        assert FINALIST["marks"] == ("smaller, not faster",)


def test_outcomes_are_counted_in_their_order() -> None:
    records = [replace(RECORD, outcome=outcome) for outcome in ("failed", "feasible", "failed")]
    counts = {"feasible": 1, "rejected": 0, "stopped": 0, "failed": 2}
    assert list(count_outcomes(records).items()) == list(counts.items())
