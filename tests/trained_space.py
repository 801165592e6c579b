"""A space of somebody else's that lists trained weights: what a plugin needs for it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from orchestrator import Checkpoint, Classes, ImageFacts, Offer, Published, SearchSpace, hookimpl

SOURCE = "made up for a test"
HUB = "hf://toys/trained"


class TrainedSpace(SearchSpace):
    """A convolution of so many channels; `slope` is part of what the released network computes."""

    name = "trained"

    def __init__(self, *, preset: str = "small", slope: float | None = None) -> None:
        super().__init__(preset=preset)
        self.slope = 0.0 if slope is None else slope

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {"width": trial.suggest_int("width", 4, 16, step=4), "slope": self.slope}

    def build(self, architecture: Any, facts: ImageFacts, outputs: Any) -> nn.Module:
        assert isinstance(outputs, Classes)
        net, width = nn.Sequential(), architecture["width"]
        net.stem = nn.Conv2d(facts.in_channels, width, 3, padding=1)
        net.norm = nn.BatchNorm2d(width)
        net.act, net.pool = nn.LeakyReLU(architecture["slope"]), nn.AdaptiveAvgPool2d(1)
        net.flat, net.classifier = nn.Flatten(), nn.Linear(width, outputs.count)
        return net

    def published(self) -> Mapping[str, Published]:
        return {str(w): Published({"width": w}, 16, SOURCE) for w in (8, 12)}

    def pretrained(self) -> Mapping[str, Checkpoint]:
        if self.preset != "full":
            return {}
        told = {"naming": "theirs", "credit": SOURCE, "image_size": 16}
        near = Checkpoint("8", (f"{HUB}/near.pth",), licence="MIT", exact=False, **told)
        sure = Checkpoint(
            "12",
            (f"{HUB}/sure.safetensors",),
            licence="unknown",
            sha256=hashlib.sha256(SURE).hexdigest()[:10],
            classes=5,
            mean=(0.1, 0.2, 0.3),
            deviation=(0.5, 0.5, 0.4),
            options={"slope": 0.1},
            **told,
        )
        return {"near": near, "sure": sure}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> Mapping[str, Tensor]:
        names = {"conv": "stem", "bn": "norm", "fc": "classifier"}
        return {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": t for n, t in state.items()}


def released(width: int, classes: int) -> dict[str, Tensor]:
    """What somebody trained, under their names: the same every time."""
    drawn = torch.Generator().manual_seed(width)
    shapes = {
        "conv.weight": (width, 3, 3, 3),
        "conv.bias": (width,),
        **dict.fromkeys(("bn.weight", "bn.bias", "bn.running_mean"), (width,)),
        "bn.running_var": (width,),
        "fc.weight": (classes, width),
        "fc.bias": (classes,),
    }
    return {name: torch.rand(shape, generator=drawn) + 0.1 for name, shape in shapes.items()}


# Two released files, each in one of the two forms there are.
SURE = safetensors.torch.save(released(12, 5))
_near = io.BytesIO()
torch.save(released(8, 1000), _near)
NEAR = _near.getvalue()


class TrainedPlugin:
    """Offers it."""

    @hookimpl
    def orchestrator_search_spaces(self) -> list[Offer]:
        return [Offer("trained", "trained_space:TrainedSpace", "a convolution with weights")]
