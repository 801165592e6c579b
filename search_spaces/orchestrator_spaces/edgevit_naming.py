"""EdgeViT's networks as their authors name them, under the names of ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator_spaces.blocks.naming import (
    BLOCK,
    Renames,
    head_by_head,
    renamed,
    unknown_naming,
)

__all__ = ["translate_edgevit"]

AUTHORS: Renames = (
    *((rf"^patch_embed{stage + 1}\.", f"stages.{stage}.embedding.") for stage in range(4)),
    *((rf"^blocks{stage + 1}\.", f"stages.{stage}.blocks.") for stage in range(4)),
    (r"\.embedding\.proj\.", ".embedding.patches."),
    (r"\.LocalAgg\.pos_embed\.", ".aggregation.position."),
    (r"\.LocalAgg\.norm1\.", ".aggregation.mixer.norm."),
    (r"\.LocalAgg\.conv1\.", ".aggregation.mixer.enter."),
    (r"\.LocalAgg\.attn\.", ".aggregation.mixer.depthwise."),
    (r"\.LocalAgg\.conv2\.", ".aggregation.mixer.leave."),
    (r"\.LocalAgg\.norm2\.", ".aggregation.mlp.norm."),
    (r"\.LocalAgg\.mlp\.fc1\.", ".aggregation.mlp.expand."),
    (r"\.LocalAgg\.mlp\.fc2\.", ".aggregation.mlp.project."),
    (r"\.SelfAttn\.pos_embed\.", ".position."),
    (r"\.SelfAttn\.attn\.LocalProp\.", ".block.attention.propagation.spread."),
    (r"\.SelfAttn\.attn\.norm\.", ".block.attention.propagation.norm."),
    (r"\.SelfAttn\.", ".block."),
    *BLOCK,
    (r"^head\.", "classifier."),
)


def translate_edgevit(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names, and query, key and value head by head."""
    if naming != "authors":
        raise unknown_naming("edgevit", naming, ["authors"])
    # Every published network begins with one head, and all its heads are as wide.
    width = state["patch_embed1.proj.weight"].shape[0]
    answer = {}
    for plain, tensor in renamed(state, AUTHORS).items():
        name = plain.replace(".attention.", f".attention.head{width}.")
        if ".qkv." in name:
            answer[name] = head_by_head(tensor, len(tensor) // (3 * width))
        elif ".spread." in name:
            rate = state[_filter_of(name)].shape[-1]
            answer[name.replace(".spread.", f".spread.rate{rate}.")] = tensor
        else:
            answer[name] = tensor
    return answer


def _filter_of(name: str) -> str:
    """The authors' name of the filter that spreads the tokens of the same block."""
    _, stage, _, block, *_ = name.split(".")
    return f"blocks{int(stage) + 1}.{block}.SelfAttn.attn.LocalProp.weight"
