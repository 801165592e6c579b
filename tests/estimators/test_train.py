from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import footings
import numpy as np
import pydantic
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from orchestrator import (
    ArraySamples,
    Dataset,
    EstimationContext,
    Genotype,
    ImageFacts,
    Outputs,
    SearchSpace,
    Step,
    Trial,
)
from orchestrator.config import TrainConfig
from orchestrator.contracts import Split
from orchestrator.errors import ConfigError, RunError
from orchestrator.estimators.train import TrainEstimator
from orchestrator.plugins import installed
from orchestrator.testing.estimator import check_estimator


class Tied(nn.Module):
    """A network with one weight under two names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inside = nn.Conv2d(1, width, 3, padding=1)
        self.alias = self.inside
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self.alias(images)).relu().mean((2, 3)))
        return logits


class TiedSpace(SearchSpace):
    name: ClassVar[str] = "tied"

    def suggest(self, trial: Trial) -> dict[str, Any]:
        return {"width": trial.suggest_categorical("width", [4, 8])}

    def build(self, architecture: Any, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        return Tied(architecture["width"])


class Stripes(Dataset):
    name = "stripes"
    classes = ("flat", "steep")
    image_size = 8
    in_channels = 1
    mean = (0.5,)
    deviation = (0.5,)

    def split(self, name: Split) -> ArraySamples:
        pixels = np.zeros((64, 1, 8, 8), np.uint8)
        pixels[::2, :, ::2] = 255
        pixels[1::2, :, :, ::2] = 255
        return ArraySamples(pixels, np.arange(64) % 2)


@pytest.fixture
def context(tmp_path: Path) -> EstimationContext:
    train = pydantic.TypeAdapter(TrainConfig).validate_python(
        {"epochs": 3, "batch_size": 16, "learning_rate": 0.02}
    )
    return footings.context(TiedSpace(), Stripes(), train, tmp_path / "weights")


GENOTYPE = Genotype("tied", "small", {"width": 4}, (Step("pruning", {"ratio": 0.5}),))


def test_it_fulfils_the_contract(context: EstimationContext) -> None:
    check_estimator(installed().create("estimator", "train", {}), context)


def test_weights_are_kept_for_the_architecture_without_compression(
    context: EstimationContext,
) -> None:
    network = Tied(4)
    estimate = TrainEstimator().estimate(network, GENOTYPE, context)
    (path,) = context.weights.iterdir()
    assert path.name == f"{GENOTYPE.plain().key}.safetensors"
    assert estimate.network is network
    assert len(estimate.curve) == 3
    assert torch.equal(load_file(path)["head.weight"], network.head.weight)


def test_a_finalist_goes_on_from_the_weights_it_got(context: EstimationContext) -> None:
    network, estimator = Tied(4), TrainEstimator()
    assert estimator.initial_weights(GENOTYPE, context) is None
    estimator.estimate(network, GENOTYPE, context)
    weights = estimator.initial_weights(GENOTYPE.plain(), context)
    assert weights is not None
    assert weights.keys() == network.state_dict().keys()
    assert torch.equal(weights["norm.running_mean"], network.norm.running_mean)


@pytest.mark.parametrize(("images", "expected"), [(None, 3 * 64), (20, 3 * 32), (1000, 3 * 64)])
def test_an_epoch_has_so_many_images_at_most_in_whole_batches(
    images: int | None, expected: int, context: EstimationContext
) -> None:
    seen: list[int] = []

    def counted(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(len(images))
        return nn.functional.cross_entropy(logits, targets)

    counting = replace(context, loss=counted)
    estimate = TrainEstimator(images=images).estimate(Tied(4), GENOTYPE, counting)
    assert (sum(seen), len(estimate.curve)) == (expected, 3)


def test_fewer_than_two_images_are_none_to_train_on() -> None:
    with pytest.raises(ConfigError, match=r"images: found 1, expected null or at least 2"):
        TrainEstimator(images=1)


def test_a_stopped_candidate_leaves_no_weights(context: EstimationContext) -> None:
    halting = replace(context, on_epoch=lambda epoch, accuracy: False)
    estimate = TrainEstimator().estimate(Tied(4), GENOTYPE, halting)
    assert estimate.stopped
    assert not context.weights.exists()


def test_a_damaged_file_is_named(context: EstimationContext) -> None:
    context.weights.mkdir()
    path = context.weights / f"{GENOTYPE.plain().key}.safetensors"
    path.write_bytes(b"half a file")
    with pytest.raises(RunError, match=f"{path.name} is no readable weights file"):
        TrainEstimator().initial_weights(GENOTYPE, context)


def test_a_run_that_cannot_be_written_is_an_error(context: EstimationContext) -> None:
    context.weights.write_text("a file where a folder should be")
    with pytest.raises(RunError, match=r"weights/.* cannot be written"):
        TrainEstimator().estimate(Tied(4), GENOTYPE, context)


def test_nothing_half_written_stays(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        path.open("wb").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left on device"):
        TrainEstimator().estimate(Tied(4), GENOTYPE, context)
    assert list(context.weights.iterdir()) == []
