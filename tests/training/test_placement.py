"""Networks are trained where, and in what, a placement says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from footings import TASK, footing
from sharing_spaces import Staged
from torch import Tensor, nn

from orchestrator import Dataset, ImageFacts, Placement, TrainConfig
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.path_training import PathTraining, Recipe, Setting
from orchestrator.supernet.pool import draw_subnets
from orchestrator.supernet.store import Store
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.placement import choose_placement

GREY = ImageFacts.unnamed(16, in_channels=1)
HALF = Placement("cpu", "bfloat16", "channels_last")


@pytest.mark.parametrize(
    ("gpu", "brain", "precision", "expected"),
    [
        (False, False, "auto", Placement("cpu", "float32")),
        (True, True, "auto", Placement("cuda", "bfloat16")),
        (True, False, "auto", Placement("cuda", "float16")),
        (True, True, "off", Placement("cuda", "float32")),
    ],
)
def test_a_gpu_is_chosen_where_there_is_one(
    gpu: bool, brain: bool, precision: str, expected: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: brain)
    config = replace(TrainConfig(), mixed_precision=precision)  # type: ignore[arg-type]
    assert choose_placement(config) == expected


class Watched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4 * 256, 10)
        self.seen: set[tuple[torch.dtype, bool]] = set()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.kernel(images)
        lasts = self.kernel.weight.is_contiguous(memory_format=torch.channels_last)
        if self.training:
            self.seen.add((maps.dtype, lasts))
        answer: Tensor = self.head(maps.flatten(1))
        return answer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_training_computes_in_what_the_placement_says(dtype: str, small_digits: Dataset) -> None:
    network = Watched()
    where = footing(small_digits, placement=replace(HALF, dtype=dtype))
    training = train(network, where, TrainConfig(), TrainRun(epochs=1, seed=0))
    assert network.seen == {(getattr(torch, dtype), True)}
    assert training.curve[-1] > 0.5
    assert network.kernel.weight.dtype == torch.float32


def test_shared_weights_are_trained_in_what_the_placement_says(small_digits: Dataset) -> None:
    torch.manual_seed(0)
    borrower = Borrower(Store(Staged(), HALF.device), TASK, GREY)
    paths = draw_subnets(borrower, count=4, seed=0)
    recipe = Recipe("sandwich", 1, 256, "sgd", 0.1, seed=0)
    where = footing(small_digits, placement=HALF)
    training = PathTraining(borrower, paths, where, Setting(recipe, TrainConfig()))
    seen = set()
    for path in paths:
        network = borrower.get(path.genotype).network
        network.register_forward_hook(lambda _, __, answer: seen.add(answer.dtype))
    training.epoch(0)
    assert seen == {torch.bfloat16}
    assert {tensor.dtype for tensor in borrower.store.tensors.values()} == {torch.float32}
