from __future__ import annotations

from typing import Any

import pytest

from orchestrator.contracts import (
    ArtifactCompressor,
    Compressor,
    NetworkCompressor,
    TrainingCompressor,
    legal_orders,
)

ONNX = frozenset({"onnx"})


def made(kind: Any, **tags: Any) -> Compressor:
    """A compressor of a kind; its methods are never called."""
    tags = {name: frozenset(value.split()) for name, value in tags.items()}
    methods = {name: None for name in kind.__abstractmethods__}
    instance: Compressor = type("Made", (kind,), {"name": "made", **methods, **tags})()
    return instance


def orders(formats: frozenset[str] = ONNX, **active: Compressor) -> list[str]:
    return [" ".join(order) for order in legal_orders(active, formats)]


def test_the_kind_says_when() -> None:
    found = orders(
        c=made(ArtifactCompressor), b=made(NetworkCompressor), a=made(TrainingCompressor)
    )
    assert found == ["a b c"]


def test_within_a_stage_every_order_is_legal_the_configurations_first() -> None:
    pair = {"b": made(NetworkCompressor), "a": made(NetworkCompressor)}
    assert orders(**pair) == ["b a", "a b"]


def test_what_is_required_comes_first() -> None:
    needy, giver = made(NetworkCompressor, requires="x"), made(NetworkCompressor, provides="x")
    assert orders(needy=needy, giver=giver) == ["giver needy"]
    assert orders(needy=needy) == []


def test_what_one_conflicts_with_comes_after() -> None:
    shy, loud = made(ArtifactCompressor, conflicts="x"), made(ArtifactCompressor, provides="x")
    assert orders(shy=shy, loud=loud) == ["shy loud"]


def test_two_that_each_rule_the_other_out_have_no_order() -> None:
    a = made(ArtifactCompressor, provides="a", conflicts="b")
    b = made(ArtifactCompressor, provides="b", conflicts="a")
    assert orders(a=a, b=b) == []
    assert orders(a=a) == ["a"] and orders(b=b) == ["b"]


def test_formats_of_the_device_count_as_provided() -> None:
    needy = made(ArtifactCompressor, requires="onnx")
    assert orders(needy=needy) == ["needy"]
    assert orders(frozenset({"pte"}), needy=needy) == []


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (4, 24), (6, 120)])
def test_no_more_than_anyone_wants_are_told(count: int, expected: int) -> None:
    many = {f"c{index}": made(NetworkCompressor) for index in range(count)}
    assert len(orders(**many)) == expected
