"""Plain vision transformers of timm and torchvision under the names of ours."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from orchestrator_spaces.blocks.naming import (
    BLOCK,
    Renames,
    head_by_head,
    renamed,
    unknown_naming,
)

__all__ = ["translate_vision_transformer"]

TIMM: Renames = (
    *BLOCK,
    (r"^patch_embed\.proj\.", "embedding."),
    (r"^cls_token$", "class_token.value"),
    (r"^dist_token$", "distillation_token.value"),
    (r"^pos_embed$", "positions"),
    (r"^head\.", "classifier."),
    (r"^head_dist\.", "distillation_classifier."),
)
# The MLP's layers have been called by number and, in the files, in words.
TORCHVISION: Renames = (
    (r"^encoder\.layers\.encoder_layer_", "blocks."),
    (r"\.ln_1\.", ".attention_norm."),
    (r"\.ln_2\.", ".mlp_norm."),
    (r"\.self_attention\.in_proj_", ".attention.qkv."),
    (r"\.self_attention\.out_proj\.", ".attention.project."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.expand."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.project."),
    (r"^conv_proj\.", "embedding."),
    (r"^class_token$", "class_token.value"),
    (r"^encoder\.pos_embedding$", "positions"),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "classifier."),
)
NAMINGS = {"timm": TIMM, "torchvision": TORCHVISION}


def translate_vision_transformer(
    state: Mapping[str, Tensor], naming: str, *, family: str, head_width: int
) -> dict[str, Tensor]:
    """Names and layouts; `head_width` tells how many heads a projection holds."""
    if naming not in NAMINGS:
        raise unknown_naming(family, naming, list(NAMINGS))
    answer = renamed(state, NAMINGS[naming])
    for name in list(answer):
        if ".qkv." in name:
            answer[name] = head_by_head(answer[name], len(answer[name]) // (3 * head_width))
    if "embedding.weight" in answer:
        patch = answer["embedding.weight"].shape[-1]
        for part in ("weight", "bias"):
            answer[f"embedding.patch{patch}.conv.{part}"] = answer.pop(f"embedding.{part}")
    return answer | _positions(answer)


def _positions(answer: dict[str, Tensor]) -> dict[str, Tensor]:
    """Learned tokens first, then the patches row by row: each token carries its own position."""
    if "positions" not in answer:
        return {}
    table = answer.pop("positions")  # (1, learned tokens + grid², C)
    tokens = [name for name in ("class_token", "distillation_token") if f"{name}.value" in answer]
    patches = table[:, len(tokens) :]
    placed = {f"positions.grid{isqrt(patches.shape[1])}": patches.contiguous()}
    for place, name in enumerate(tokens):
        placed[f"{name}.position"] = table[:, place : place + 1].contiguous()
    return placed
