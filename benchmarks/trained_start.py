"""A space, a dataset and trained weights as a search with `weights=…` would have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator import Dataset, SearchSpace
from orchestrator.config import Chosen, SamplerConfig, StudyConfig
from orchestrator.plugins import installed
from orchestrator.pretrained.loading import load_checkpoint
from orchestrator.pretrained.settling import settled
from orchestrator.pretrained.starting import StartingWeights, prepare_start, start_file

# The least side at which weights that were trained at 224 px say much, at the least cost.
IMAGE_SIZE = 64
# What `train=finetune` has besides, for networks that start from trained weights, but for its
# colour jitter and batches of 32: the figures of these benchmarks never had them.
FINE_TUNED: dict[str, Any] = {
    "learning_rate": 1e-3,
    "ema_decay": 0.99,
    "crop_padding": 0,
    "crop_area": 0.7,
    "label_smoothing": 0.1,
}


def prepared(family: str, weights: str | None, data: Mapping[str, Any]) -> tuple[Any, Any]:
    """The space and the image folder, with what the weights ask of both; small without weights."""
    preset = "full" if weights else "small"
    config = StudyConfig(
        space=Chosen(family, {"preset": preset}),
        dataset=Chosen("image_folder", dict(data)),
        device={},
        estimator=Chosen("train"),
        sampler=SamplerConfig("random"),
        objective={},
        weights=weights,
    )
    asked = settled(config, installed())
    space: SearchSpace = installed().create("space", family, asked.space.options)
    dataset: Dataset = installed().create("dataset", "image_folder", asked.dataset.options)
    return space, dataset


def begun(
    folder: Path, space: SearchSpace, dataset: Dataset, weights: str | None
) -> StartingWeights | None:
    """The starting weights in `folder`, written there once; None without weights."""
    if weights is None:
        return None
    load = partial(load_checkpoint, weights, space, dataset.facts)
    return prepare_start(start_file(folder), space, dataset.facts.shape, load)
