"""Where trained weights of MobileViT are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import PLAIN, release, timm_file
from orchestrator_spaces.blocks.naming import (
    BLOCK,
    Renames,
    head_by_head,
    renamed,
    unknown_naming,
)

__all__ = ["PRETRAINED", "translate_mobilevit"]

COMMON = release(
    "timm",
    "Apple sample code licence of ml-cvnets",
    "Mehta & Rastegari 2021, arXiv:2110.02178; apple/ml-cvnets, file by timm",
    image_size=256,
    **PLAIN,
)
PRETRAINED: dict[str, Checkpoint] = {
    f"{member}-cvnets_in1k": timm_file(COMMON, member, f"mobilevit_{member}.cvnets_in1k")
    for member in ("s", "xs", "xxs")
}

# Every released network has four heads.
HEADS = 4
TIMM: Renames = (
    (r"\.conv1_1x1\.", ".layers.expand."),
    (r"\.conv2_kxk\.", ".layers.depthwise."),
    (r"\.conv3_1x1\.", ".layers.project."),
    (r"^(stages\.\d+)\.(\d+)\.layers\.", r"\1.convolutions.\2.layers."),
    (r"^(stages\.\d+)\.\d+\.conv_kxk\.", r"\1.mobilevit.local."),
    (r"^(stages\.\d+)\.\d+\.conv_1x1\.", r"\1.mobilevit.widen."),
    (r"^(stages\.\d+)\.\d+\.conv_proj\.", r"\1.mobilevit.narrow."),
    (r"^(stages\.\d+)\.\d+\.conv_fusion\.", r"\1.mobilevit.fuse."),
    (r"^(stages\.\d+)\.\d+\.norm\.", r"\1.mobilevit.norm."),
    (r"^(stages\.\d+)\.\d+\.transformer\.", r"\1.mobilevit.layers."),
    (r"\.bn\.", ".norm."),
    *BLOCK,
    (r"\.attention\.(qkv|project)\.", rf".attention.heads{HEADS}.\1."),
    (r"^final_conv\.", "last."),
    (r"^head\.fc\.", "classifier."),
)


def translate_mobilevit(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names, and query, key and value head by head."""
    if naming != "timm":
        raise unknown_naming("mobilevit", naming, ["timm"])
    answer = renamed(state, TIMM)
    fused = {name: head_by_head(answer[name], HEADS) for name in answer if ".qkv." in name}
    return answer | fused
