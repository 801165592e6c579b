"""Where trained weights of Swin are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt

import torch
from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import (
    IMAGENET_21K,
    release,
    timm_file,
    torchvision_file,
)
from orchestrator_spaces.blocks.naming import (
    BLOCK,
    Renames,
    head_by_head,
    renamed,
    unknown_naming,
)

__all__ = ["PRETRAINED", "translate_swin"]

CREDIT = "Liu et al. 2021, arXiv:2103.14030; microsoft/Swin-Transformer"
ONE_STEP = release("timm", "MIT", CREDIT)
TWO_STEPS = release("timm", "MIT", CREDIT, data=IMAGENET_21K)
TORCHVISION = release("torchvision", "BSD-3-Clause", "torchvision, references/classification")
AUTHORS = "https://github.com/SwinTransformer/storage/releases/download"
TIMM_NAMES = {
    member: f"swin_{size}_patch4_window7_224"
    for member, size in (("t", "tiny"), ("s", "small"), ("b", "base"))
}


def _files(member: str, versions: tuple[str, str]) -> dict[str, Checkpoint]:
    """timm's file, else the authors' of the same names.

    `versions` are the authors', of networks trained in one step and in two.
    """
    model, (one, two) = TIMM_NAMES[member], versions
    rows = {
        "ms_in22k_ft_in1k": (TWO_STEPS, 1000, _fine_tuned(model, two)),
        "ms_in1k": (ONE_STEP, 1000, f"{one}/{model}.pth"),
        "ms_in22k": (TWO_STEPS, 21841, f"{two}/{model}_22k.pth"),
    }
    answer = {}
    for tag, (common, classes, file) in rows.items():
        hub = timm_file(common, member, f"{model}.{tag}", classes=classes)
        locations = (*hub.locations, f"{AUTHORS}/{file}")
        answer[f"{member}-{tag}"] = replace(hub, locations=locations)
    return answer


def _fine_tuned(model: str, version: str) -> str:
    """The authors named the later ones more fully."""
    return f"{version}/{model}_22kto1k{'_finetune' if version == 'v1.0.8' else ''}.pth"


PRETRAINED: dict[str, Checkpoint] = {
    **_files("t", ("v1.0.0", "v1.0.8")),
    **_files("s", ("v1.0.0", "v1.0.8")),
    **_files("b", ("v1.0.0", "v1.0.0")),
    "t-tv_in1k": torchvision_file(TORCHVISION, "t", "swin_t-704ceda3.pth", top1_percent=81.474),
    "s-tv_in1k": torchvision_file(TORCHVISION, "s", "swin_s-5e29d889.pth", top1_percent=83.196),
    "b-tv_in1k": torchvision_file(TORCHVISION, "b", "swin_b-68c6b09e.pth", top1_percent=83.582),
}

# Masks and indices follow from the window.
COMMON: Renames = (
    (r"\.(relative_position_index|attn_mask)$", None),
    *BLOCK,
    (r"\.attention\.(qkv|project)\.", r".attention.attention.\1."),
    (r"\.attn\.relative_position_bias_table$", ".attention.attention.bias.table"),
)
TIMM: Renames = (
    (r"^layers\.", "stages."),
    (r"\.downsample\.reduction\.", ".merging.reduce."),
    (r"\.downsample\.norm\.", ".merging.norm."),
    (r"^patch_embed\.proj\.", "embedding.patches."),
    (r"^patch_embed\.norm\.", "embedding.norm."),
    (r"^head\.(fc\.)?", "classifier."),
    *COMMON,
)
# The authors merge at a stage's end, timm and we at the next one's beginning.
AT_THE_END: Renames = tuple(
    (rf"^layers\.{stage}\.downsample\.", f"layers.{stage + 1}.downsample.") for stage in (2, 1, 0)
)
TORCHVISION_NAMES: Renames = (
    (r"^features\.0\.0\.", "embedding.patches."),
    (r"^features\.0\.2\.", "embedding.norm."),
    *((rf"^features\.{2 * stage + 1}\.", f"stages.{stage}.blocks.") for stage in range(4)),
    *((rf"^features\.{2 * stage}\.", f"stages.{stage}.merging.") for stage in range(1, 4)),
    (r"\.reduction\.", ".reduce."),
    (r"\.mlp\.0\.", ".mlp.expand."),
    (r"\.mlp\.3\.", ".mlp.project."),
    (r"^head\.", "classifier."),
    *COMMON,
)


def translate_swin(
    state: Mapping[str, Tensor], naming: str, *, head_width: int
) -> dict[str, Tensor]:
    """Names and layouts; `head_width` tells how many heads a projection holds."""
    known = {"timm": TIMM, "torchvision": TORCHVISION_NAMES}
    if naming not in known:
        raise unknown_naming("swin", naming, list(known))
    rules = known[naming]
    if any(name.startswith("layers.0.downsample.") for name in state):
        rules = (*AT_THE_END, *rules)
    answer = renamed(state, rules)
    for name, tensor in list(answer.items()):
        if ".qkv." in name:
            answer[name] = head_by_head(tensor, len(tensor) // (3 * head_width))
        elif name.endswith(".bias.table"):
            span = isqrt(len(tensor))  # (span², heads) → (1, heads, span, span)
            answer[name] = torch.unflatten(tensor.T, 1, (span, span))[None].contiguous()
        elif name.startswith("embedding.patches."):
            side = _side(answer)
            answer[name.replace(".patches.", f".patches.side{side}.")] = answer.pop(name)
    return answer


def _side(answer: Mapping[str, Tensor]) -> int:
    """Pixels a side of a patch."""
    (weight,) = (each for name, each in answer.items() if _is_filter(name))
    return weight.shape[-1]


def _is_filter(name: str) -> bool:
    return name.startswith("embedding.patches.") and name.endswith(".weight")
