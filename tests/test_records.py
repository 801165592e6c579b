from __future__ import annotations

import json

from orchestrator.records import Genotype, Record

GENOTYPE = Genotype("toy", "small", {"a": 1, "b": [True, 2.5]}, {"pruning": {"ratio": 0.5}})


def test_the_order_of_keys_does_not_matter() -> None:
    other = Genotype("toy", "small", {"b": [True, 2.5], "a": 1}, {"pruning": {"ratio": 0.5}})
    assert other.key == GENOTYPE.key
    assert len(GENOTYPE.key) == 12


def test_whatever_decides_the_network_decides_the_key() -> None:
    others = [
        Genotype("toy", "full", GENOTYPE.architecture, GENOTYPE.compression),
        Genotype("toy", "small", {"a": 2, "b": [True, 2.5]}, GENOTYPE.compression),
        Genotype("toy", "small", {"a": 1, "b": [1, 2.5]}, GENOTYPE.compression),
        GENOTYPE.plain(),
    ]
    assert len({genotype.key for genotype in (GENOTYPE, *others)}) == 5


def test_a_genotype_survives_its_file() -> None:
    assert Genotype.from_json(json.loads(json.dumps(GENOTYPE.to_json()))) == GENOTYPE


def test_a_record_survives_its_file() -> None:
    record = Record(
        number=7,
        genotype=GENOTYPE,
        outcome="rejected",
        values={"params": 12.0},
        violations={"params": 2.0},
        curve=(0.1, 0.2),
        extra={"trained": True},
    )
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.id == f"0007-{GENOTYPE.key}"
