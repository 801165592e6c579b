"""Where trained weights of MobileNetV1 are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.block_naming import TIMM_ENDS, parts
from orchestrator_spaces.blocks.checkpoints import HALF, WIGHTMAN, timm_file
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "translate_mobilenetv1"]

PRETRAINED: dict[str, Checkpoint] = {
    "1.0-ra4_e3600_r224_in1k": timm_file(
        WIGHTMAN, "1.0", "mobilenetv1_100.ra4_e3600_r224_in1k", **HALF
    ),
}

TIMM: Renames = (
    *TIMM_ENDS,
    *parts(
        r"\d+",
        "",
        {
            "conv_dw": "depthwise.conv",
            "bn1": "depthwise.norm",
            "conv_pw": "pointwise.conv",
            "bn2": "pointwise.norm",
        },
    ),
)


def translate_mobilenetv1(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names."""
    if naming != "timm":
        raise unknown_naming("mobilenetv1", naming, ["timm"])
    return renamed(state, TIMM)
