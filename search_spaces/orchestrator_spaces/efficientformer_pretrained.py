"""Where trained weights of EfficientFormer are, and how their names become ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import release, timm_file
from orchestrator_spaces.blocks.naming import BLOCK, Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "kinds", "square", "translate_efficientformer"]

COMMON = release(
    "timm",
    "MIT, parts Apache-2.0",
    "Li et al. 2022, arXiv:2206.01191; snap-research/EfficientFormer, file by timm",
)
PRETRAINED: dict[str, Checkpoint] = {
    f"{member}-snap_dist_in1k": timm_file(
        COMMON, member, f"efficientformer_{member}.snap_dist_in1k"
    )
    for member in ("l1", "l3", "l7")
}

# Blocks on maps and on tokens have parts of the same names.
MAPS = r"^(stages\.\d+\.mb4d\.\d+)"
TOKENS = r"^(stages\.\d+\.mb3d\.\d+)"
TIMM: Renames = (
    (r"\.attention_bias_idxs$", None),
    (r"^stem\.conv(\d)\.", r"stem.\1.conv."),
    (r"^stem\.norm(\d)\.", r"stem.\1.norm."),
    (r"^stem\.1\.", "stem.0."),
    (r"^stem\.2\.", "stem.1."),
    (MAPS + r"\.mlp\.fc1\.", r"\1.mlp.0.conv."),
    (MAPS + r"\.mlp\.norm1\.", r"\1.mlp.0.norm."),
    (MAPS + r"\.mlp\.fc2\.", r"\1.mlp.1.conv."),
    (MAPS + r"\.mlp\.norm2\.", r"\1.mlp.1.norm."),
    (MAPS + r"\.ls1\.gamma$", r"\1.mixer_scale.scale"),
    (MAPS + r"\.ls2\.gamma$", r"\1.mlp_scale.scale"),
    (TOKENS + r"\.token_mixer\.attention_biases$", r"\1.attention.layer.bias.bias"),
    (r"\.token_mixer\.", ".attn."),
    *BLOCK,
    (r"\.attention\.(qkv|project)\.", r".attention.layer.\1."),
    (r"\.mlp\.(expand|project)\.", r".mlp.layer.\1."),
    (TOKENS + r"\.ls1\.gamma$", r"\1.attention.scale.scale"),
    (TOKENS + r"\.ls2\.gamma$", r"\1.mlp.scale.scale"),
    (r"^head\.", "classifier."),
    (r"^head_dist\.", "distillation_classifier."),
)
BLOCK_NAME = re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.(token_mixer\.)?")


def translate_efficientformer(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names and shapes; query, key and value lie head by head there as here."""
    if naming != "timm":
        raise unknown_naming("efficientformer", naming, ["timm"])
    answer = renamed(renamed(state, kinds(state, "mb4d", "mb3d")), TIMM)
    for name, tensor in list(answer.items()):
        if name.endswith(".bias.bias"):
            answer[name] = square(tensor)
        elif ".mb4d." in name and name.endswith("_scale.scale"):
            answer[name] = tensor[:, None, None]
    return answer


def kinds(state: Mapping[str, Tensor], plain: str, attending: str) -> Renames:
    """timm numbers a stage's blocks through, ours are numbered without and with attention apart.

    In EfficientFormer the step from maps to tokens has a number too, and no tensors.
    """
    found = [match for name in state if (match := BLOCK_NAME.match(name))]
    places = sorted({(int(match[1]), int(match[2])) for match in found})
    mixing = {(int(match[1]), int(match[2])) for match in found if match[3]}
    rules, counts = [], dict[tuple[int, str], int]()
    for stage, place in places:
        kind = attending if (stage, place) in mixing else plain
        index = counts.get((stage, kind), 0)
        counts[stage, kind] = index + 1
        rules.append((rf"^stages\.{stage}\.blocks\.{place}\.", f"stages.{stage}.{kind}.{index}."))
    return rules


def square(biases: Tensor) -> Tensor:
    """(heads, side²) → (heads, side, side)."""
    side = isqrt(biases.shape[1])
    return torch.unflatten(biases, 1, (side, side))
