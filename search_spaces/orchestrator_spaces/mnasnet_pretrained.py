"""Where trained weights of MnasNet are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.block_naming import TIMM, TIMM_ENDS, parts, placed
from orchestrator_spaces.blocks.checkpoints import (
    BY_TORCHVISION,
    WIGHTMAN,
    timm_file,
    torchvision_file,
)
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "translate_mnasnet"]

PRETRAINED: dict[str, Checkpoint] = {
    "b1-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION, "b1", "mnasnet1.0_top1_73.512-f206786ef8.pth", top1_percent=73.456
    ),
    "b1-rmsp_in1k": timm_file(WIGHTMAN, "b1", "mnasnet_100.rmsp_in1k"),
    "a1-rmsp_in1k": timm_file(WIGHTMAN, "a1", "semnasnet_100.rmsp_in1k"),
    "small-timm-lamb_in1k": timm_file(WIGHTMAN, "small-timm", "mnasnet_small.lamb_in1k"),
}

TORCHVISION: Renames = (
    (r"^layers\.0\.", "stem.conv."),
    (r"^layers\.1\.", "stem.norm."),
    (r"^layers\.3\.", "stages.0.0.layers.depthwise.conv."),
    (r"^layers\.4\.", "stages.0.0.layers.depthwise.norm."),
    (r"^layers\.6\.", "stages.0.0.layers.project.conv."),
    (r"^layers\.7\.", "stages.0.0.layers.project.norm."),
    (r"^layers\.14\.", "last.conv."),
    (r"^layers\.15\.", "last.norm."),
    (r"^classifier\.1\.", "classifier."),
    *parts(
        r"\d+",
        "layers.",
        {
            r"layers\.0": "expand.conv",
            r"layers\.1": "expand.norm",
            r"layers\.3": "depthwise.conv",
            r"layers\.4": "depthwise.norm",
            r"layers\.6": "project.conv",
            r"layers\.7": "project.norm",
        },
    ),
)
OPERATORS: Renames = (
    (r"^stages\.0\.(\d)", r"stages.0.separable.\1"),
    (r"^stages\.(\d)\.(\d)", r"stages.\1.mbconv.\2"),
)


def translate_mnasnet(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names, each stage's operator among them."""
    if naming == "timm":
        return renamed(state, (*TIMM_ENDS, *TIMM, *OPERATORS))
    if naming == "torchvision":
        nested = placed(
            state,
            r"^layers\.(\d+)\.(\d+)\.(?=layers\.)",
            lambda found: f"blocks.{int(found[1]) - 7}.{found[2]}.",
        )
        return renamed(nested, (*TORCHVISION, *OPERATORS))
    raise unknown_naming("mnasnet", naming, ["timm", "torchvision"])
