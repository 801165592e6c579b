"""Networks of one to three layers, few enough to train all of them once.

After tabular benchmarks such as NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635): where every
network is known, a search of a thousand candidates is seconds, and its best can be held against
the best there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import ImageFacts, Outputs, Published, SearchSpace, Trial
from orchestrator.errors import BuildError

__all__ = ["KERNELS", "OPERATORS", "WIDTHS", "LayeredNet", "TabulatedSpace", "architectures"]

MOST_LAYERS = 3
OPERATORS = ("convolution", "separable")
KERNELS = (3, 5)
WIDTHS = (8, 16, 24)

Layer = Mapping[str, Any]


class TabulatedSpace(SearchSpace):
    """Operator, kernel and width of each of one to three layers: 12 + 12² + 12³ networks."""

    name = "tabulated"
    distinct = True
    presets = ("small",)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """{"layers": [{"operator", "kernel", "width"}, …]}, only layers that exist."""
        count = trial.suggest_int("layers", 1, MOST_LAYERS)
        return {"layers": [_layer(trial, f"layers.{index}") for index in range(count)]}

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        """A `LayeredNet`; raises BuildError for images of less than 2×2 pixels."""
        if facts.image_size < 2:
            raise BuildError(f"found images of {facts.image_size} px, expected 2 or more.")
        return LayeredNet(architecture["layers"], outputs.count, facts.in_channels)

    def published(self) -> dict[str, Published]:
        """The largest network, where a search may begin."""
        choices: dict[str, Any] = {"layers": MOST_LAYERS}
        for index in range(MOST_LAYERS):
            layer = {"operator": "convolution", "kernel": KERNELS[-1], "width": WIDTHS[-1]}
            choices |= {f"layers.{index}.{name}": value for name, value in layer.items()}
        return {"largest": Published(choices, image_size=8, source="the corner of the space")}


def architectures() -> Iterator[dict[str, Any]]:
    """Every architecture of the space."""
    layers = [
        {"operator": operator, "kernel": kernel, "width": width}
        for operator, kernel, width in product(OPERATORS, KERNELS, WIDTHS)
    ]
    for count in range(1, MOST_LAYERS + 1):
        for chosen in product(layers, repeat=count):
            yield {"layers": list(chosen)}


def _layer(trial: Trial, name: str) -> dict[str, Any]:
    return {
        "operator": trial.suggest_categorical(f"{name}.operator", list(OPERATORS)),
        "kernel": trial.suggest_categorical(f"{name}.kernel", list(KERNELS)),
        "width": trial.suggest_categorical(f"{name}.width", list(WIDTHS)),
    }


class LayeredNet(nn.Module):
    """(B, in_channels, H, W) → (B, classes); the first layer halves the image."""

    def __init__(self, layers: Sequence[Layer], classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        channels = in_channels
        for index, layer in enumerate(layers):
            stride = 2 if index == 0 else 1
            # The operator is part of each parameter's name: weights of one are no weights of the
            # other, should somebody share them.
            block = {"convolution": _convolution, "separable": _separable}[layer["operator"]]
            made = block(channels, layer["width"], layer["kernel"], stride)
            self.layers.append(nn.ModuleDict({layer["operator"]: made}))
            channels = layer["width"]
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        features = images
        for layer in self.layers:
            for block in layer.values():  # one a layer
                features = block(features)  # (B, width, H / 2, W / 2)
        return torch.as_tensor(self.classifier(features.mean((2, 3))))


def _convolution(channels: int, width: int, kernel: int, stride: int) -> nn.Module:
    """(B, channels, H, W) → (B, width, H / stride, W / stride)."""
    full = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(full, nn.BatchNorm2d(width), nn.ReLU())


def _separable(channels: int, width: int, kernel: int, stride: int) -> nn.Module:
    """The same shapes; places are mixed first, channels second."""
    half = kernel // 2
    places = nn.Conv2d(channels, channels, kernel, stride, half, groups=channels, bias=False)
    mixed = nn.Conv2d(channels, width, 1, bias=False)
    return nn.Sequential(
        places, nn.BatchNorm2d(channels), nn.ReLU(), mixed, nn.BatchNorm2d(width), nn.ReLU()
    )
