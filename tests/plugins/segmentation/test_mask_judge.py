from __future__ import annotations

import math

import pytest
import torch
from orchestrator_segmentation import judge as judging
from orchestrator_segmentation.confusion import Confusion
from orchestrator_segmentation.judge import MaskJudge
from torch import Tensor
from torch.nn import functional

from orchestrator import ImageFacts

FACTS = ImageFacts(4, 1, ("ground", "cat", "dog"), (0.5,), (0.5,))
# Two masks of 2 × 3 pixels; 255 counts nowhere.
TRUTH = torch.tensor([[[0, 0, 1], [1, 2, 255]], [[0, 0, 0], [0, 255, 1]]])
ANSWER = torch.tensor([[[0, 1, 1], [1, 0, 2]], [[0, 0, 0], [1, 0, 1]]])


def _logits(classes: Tensor, count: int = 3) -> Tensor:
    return functional.one_hot(classes, count).movedim(-1, 1).float()


def test_the_figures_of_a_case_computed_by_hand() -> None:
    """ground: 4 hits, truth 6, answer 5, union 7. cat: 3 hits, truth 3, answer 5, union 5.
    dog: no hit, truth 1, answer 0, union 1. Ten pixels count, seven are right.
    """
    judge = MaskJudge(FACTS)
    judge.add(_logits(ANSWER), TRUTH)
    assert judge.confusion.counts.tolist() == [[4, 2, 0], [0, 3, 0], [1, 0, 0]]
    figures = judge.figures()
    assert figures["iou/ground"] == pytest.approx(4 / 7)
    assert figures["iou/cat"] == pytest.approx(3 / 5)
    assert figures["iou/dog"] == 0
    assert figures["miou"] == pytest.approx((4 / 7 + 3 / 5 + 0) / 3)
    assert figures["pixel_accuracy"] == pytest.approx(7 / 10)
    assert judge.count == 2
    assert judge.classes() == {
        "ground": {"count": 6, "iou": pytest.approx(4 / 7), "recall": pytest.approx(4 / 6)},
        "cat": {"count": 3, "iou": pytest.approx(3 / 5), "recall": 1.0},
        "dog": {"count": 1, "iou": 0.0, "recall": 0.0},
    }


def test_it_makes_no_difference_how_images_are_batched() -> None:
    whole, parts = MaskJudge(FACTS), MaskJudge(FACTS)
    whole.add(_logits(ANSWER), TRUTH)
    for image in (0, 1):
        parts.add(_logits(ANSWER[image : image + 1]), TRUTH[image : image + 1])
    assert whole.figures() == parts.figures()


def test_large_maps_are_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = MaskJudge(FACTS), MaskJudge(FACTS)
    whole.add(_logits(ANSWER), TRUTH)
    monkeypatch.setattr(judging, "_MOST_ELEMENTS", 1)
    parts.add(_logits(ANSWER), TRUTH)
    assert whole.figures() == parts.figures()


def test_what_is_ignored_counts_for_nobody() -> None:
    answers = [ANSWER, torch.where(TRUTH == 255, 1, ANSWER), torch.where(TRUTH == 255, 2, ANSWER)]
    found = []
    for answer in answers:
        judge = MaskJudge(FACTS)
        judge.add(_logits(answer), TRUTH)
        found.append(judge.figures())
    assert found[0] == found[1] == found[2]


def test_masks_in_which_all_is_ignored_give_numbers() -> None:
    judge = MaskJudge(FACTS)
    judge.add(_logits(ANSWER), torch.full_like(TRUTH, 255))
    assert all(math.isfinite(value) for value in judge.figures().values())
    assert judge.classes() == {}


def test_a_class_that_is_nowhere_does_not_count_in_the_mean() -> None:
    judge = MaskJudge(FACTS)
    truth = torch.tensor([[[0, 0], [1, 1]]])
    judge.add(_logits(truth), truth)
    assert judge.figures()["miou"] == 1.0
    assert set(judge.classes()) == {"ground", "cat"}


def test_small_maps_are_judged_at_the_size_of_the_masks() -> None:
    judge = MaskJudge(FACTS)
    small = torch.tensor([[[0, 1], [0, 1]]])
    truth = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    judge.add(_logits(small), truth)
    assert judge.figures()["miou"] == 1.0
    assert judge.confusion.pixels == 64


def test_a_confusion_of_many_classes_counts_each_pair() -> None:
    confusion = Confusion(5, ignore=255)
    confusion.add(torch.tensor([[[4, 4, 255]]]), torch.tensor([[[3, 4, 0]]]))
    assert confusion.counts[4, 3] == confusion.counts[4, 4] == 1
    assert confusion.pixels == 2
