from __future__ import annotations

import pytest
import torch

from orchestrator import Batch, Dataset, ImageFacts, Objective, Task
from orchestrator.plugins import installed
from orchestrator.testing.task import check_task

FACTS = ImageFacts.unnamed(8, in_channels=1, classes=8)


@pytest.fixture(scope="module")
def task() -> Task:
    made: Task = installed().create("task", "classification", {})
    return made


def test_it_fulfils_the_contract(task: Task, small_digits: Dataset) -> None:
    space = installed().create("space", "mobilenetv2", {})
    check_task(task, small_digits, space)


def test_a_judge_counts_what_is_right(task: Task) -> None:
    judge = task.judge(FACTS)
    # Class 0: three of four right; class 1: one of two; the others never seen.
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    answers = (-torch.arange(8) / 100).repeat(6, 1)
    answers[range(6), [0, 0, 0, 1, 1, 0]] = 1.0
    answers[3, [2, 3, 4, 5]] = 0.5  # class 0 is the sixth likeliest there
    judge.add(answers[:2], labels[:2])
    judge.add(answers[2:], labels[2:])
    figures = judge.figures()
    assert judge.count == 6
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert figures["top5"] == pytest.approx(5 / 6)
    assert judge.classes() == {
        "0": {"count": 4, "accuracy": 3 / 4},
        "1": {"count": 2, "accuracy": 1 / 2},
    }


def test_what_is_taken_for_what_is_counted(task: Task) -> None:
    judge = task.judge(FACTS)
    judge.add(torch.eye(8)[[0, 1, 1, 7]], torch.tensor([0, 0, 1, 2]))
    judge.add(torch.eye(8)[[1]], torch.tensor([0]))
    assert judge.confusions() == [("0", "0", 1), ("0", "1", 2), ("1", "1", 1), ("2", "7", 1)]


def test_the_surest_wrong_answer_is_the_worst_and_is_shown_with_both_classes(task: Task) -> None:
    answers = torch.eye(8)[[3, 4, 4]] * torch.tensor([[9.0], [5.0], [9.0]])
    labels = torch.tensor([3, 5, 5])
    wrong = task.wrongness(answers, labels)
    assert wrong[0] == 0 < wrong[1] < wrong[2] < 1
    pixels = torch.zeros((3, 1, 8, 8), dtype=torch.uint8)
    shown = task.pictures(Batch(pixels, labels, FACTS, mirror=False, side=8), answers)
    assert list(shown[2]) == ["5, taken for 4 (100\u00a0%)"]
    assert all(uri.startswith("data:image/png;base64,") for uri in shown[2].values())


def test_distance_is_the_share_of_answers_that_differ(task: Task) -> None:
    answers = torch.eye(8)
    other = answers.clone()
    other[:2] = answers[2:4]
    assert task.distance(answers, other) == 2 / 8
    assert task.distance(answers, 3 * answers) == 0


def test_chance_is_guessing_among_the_classes(task: Task) -> None:
    assert task.chance(FACTS) == 1 / 8


@pytest.mark.parametrize("name", ["accuracy", "top5", "balanced_accuracy"])
def test_every_metric_is_an_objective(task: Task, name: str) -> None:
    objective: Objective = installed().create("objective", name, {})
    metric = next(metric for metric in task.metrics if metric.name == name)
    assert (objective.name, objective.unit, objective.direction) == (
        metric.name,
        metric.unit,
        metric.direction,
    )
