"""Spaces whose weights can be shared, and some whose weights cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from orchestrator import ImageFacts, Outputs, SearchSpace, Trial, segments


def block(width_in: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


class Staged(SearchSpace):
    """Two phases with containers of their own: names are roles."""

    name: ClassVar[str] = "staged"
    containers = True

    def suggest(self, trial: Trial) -> dict[str, Any]:
        return {
            "width": trial.suggest_categorical("width", [8, 12, 16]),
            "kernel": trial.suggest_categorical("kernel", [3, 5]),
            "depths": [trial.suggest_int(f"depths.{stage}", 1, 4) for stage in range(2)],
        }

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        network, width_in = nn.Sequential(), facts.in_channels
        flat = nn.Sequential()
        for stage, depth in enumerate(architecture["depths"]):
            width = architecture["width"] * (stage + 1)
            blocks = nn.Sequential()
            for index in range(depth):
                layer = block(width_in, width, architecture["kernel"], 2 if index == 0 else 1)
                blocks.append(layer)
                flat.append(layer)
                width_in = width
            network.add_module(f"stage{stage}", blocks)
        body = network if self.containers else flat
        head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width_in, outputs.count)
        )
        return nn.Sequential(body, head)


class Flat(Staged):
    """One running number for all blocks: depth shifts what a name stands for."""

    name: ClassVar[str] = "flat"
    containers = False


class Fused(nn.Module):
    """Two projections in one linear layer, one after the other, and their product."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.both = nn.Linear(4, 2 * width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.both(x.mean((1,))[:, :2, :2].flatten(1)).chunk(2, dim=1)
        logits: Tensor = self.head(first * second.sigmoid())
        return logits


class FusedSpace(SearchSpace):
    name: ClassVar[str] = "fused"

    def suggest(self, trial: Trial) -> dict[str, Any]:
        return {"width": trial.suggest_categorical("width", [4, 8])}

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        return Fused(architecture["width"], outputs.count)

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[slice | tuple[int, ...], ...] | None:
        if not name.startswith("both."):
            return None
        rest = [slice(0, size) for size in wanted[1:]]
        return (segments(full[0], wanted[0], 2), *rest)


def train_digits(payload: dict[str, Any]) -> None:
    """Prepare shared weights as a member of a group; leaves what it was told."""
    import footings
    import torch

    from orchestrator.config import TrainConfig
    from orchestrator.estimators.supernet import SupernetEstimator
    from orchestrator.plugins import installed

    torch.set_num_threads(1)
    digits = installed().create("dataset", "digits", {"image_size": 16})
    folder = Path(payload["folder"])
    context = footings.context(Staged(), digits, TrainConfig(epochs=2), folder)
    estimator = SupernetEstimator(epochs=2, paths=12, images=64, batch_size=64, workers=2)
    told = estimator.prepare(context)
    rank = torch.distributed.get_rank()
    (folder / f"{rank}.json").write_text(json.dumps([torch.distributed.get_world_size(), *told]))
