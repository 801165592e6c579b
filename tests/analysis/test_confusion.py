"""What is taken for what, told the same wherever it is told."""

from __future__ import annotations

from orchestrator.analysis.confusion import matrix, mistakes

FOUND = [("b", "a", 2), ("a", "a", 5), ("c", "a", 2), ("a", "z", 3), ("b", "b", 1)]


def test_a_matrix_has_the_classes_in_their_order_and_then_what_else_occurs() -> None:
    names, rows = matrix(["a", "b", "c"], FOUND)
    assert names == ["a", "b", "c", "z"]
    assert rows == [[5, 0, 0, 3], [2, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]


def test_the_commonest_mistake_comes_first_and_equal_ones_by_name() -> None:
    told = [(each.truth, each.answer, each.told) for each in mistakes(FOUND)]
    assert told == [("a", "z", "3 of 8"), ("b", "a", "2 of 3"), ("c", "a", "2 of 2")]
