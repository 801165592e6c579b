"""What a file answers to images that were changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from orchestrator_robustness.corruptions import Corruption
from toy_factory import factory, genotype
from toys import ToyDevice, toy_latencies

from orchestrator import ArraySamples
from orchestrator.candidate.changed_images import ChangedImages, evenly
from orchestrator.candidate.evaluation import evaluate
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed
from orchestrator.training.footing import Footing

pytestmark = pytest.mark.usefixtures("toys")

ROBUST = {"robustness": {"name": "robustness", "images": 8, "kinds": ["contrast"]}}


def upside_down(pixels: np.ndarray, first: int) -> np.ndarray:
    return 255 - pixels


def as_they_are(pixels: np.ndarray, first: int) -> np.ndarray:
    return pixels


def test_a_file_is_judged_by_the_leading_metric_and_asked_once(tmp_path: Path) -> None:
    made, asked = factory(tmp_path), []

    def predict(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        bright = images.mean((1, 2, 3)) > 0
        return np.stack([~bright, bright], axis=1).astype(np.float32)

    samples = made.assembly.dataset.split("validation")
    judge = ChangedImages(predict, samples, made.footing)
    assert judge([as_they_are, upside_down], 8) == [1.0, 0.0]
    assert judge([upside_down], 8) == [0.0]
    assert asked == [8, 8]


def test_masks_are_judged_too() -> None:
    task = installed().create("task", "segmentation", {})
    dataset = installed().create("dataset", "scenes", {})
    pixels, masks = dataset.split("validation").read(np.arange(4))
    facts, side = dataset.facts, masks.shape[-1]
    right = np.zeros((4, len(facts.classes), side, side), np.float32)
    np.put_along_axis(right, np.minimum(masks, len(facts.classes) - 1)[:, None], 1.0, axis=1)
    judge = ChangedImages(lambda images: right, ArraySamples(pixels, masks), Footing(task, dataset))
    assert judge([Corruption("snow", 5)], 4)[0] > 0.5


def test_a_subset_is_spread_over_the_split() -> None:
    assert evenly(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(3, 100).tolist() == [0, 1, 2]


def test_a_candidate_is_asked_after_training_and_not_before(tmp_path: Path) -> None:
    record = evaluate((0, genotype()), [], factory(tmp_path, objective=ROBUST), toy_latencies)
    assert record.outcome == "feasible", record.error
    assert 0.0 <= record.values["robustness"] <= 1.0
    assert ToyDevice.calls.index("train") > 0


def test_an_estimator_that_trains_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="judges what a trained file answers"):
        factory(tmp_path, objective=ROBUST, estimator={"name": "proxy"})
