"""Where trained weights of MobileNetV3 are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.block_naming import (
    TIMM,
    TIMM_ENDS,
    TORCHVISION,
    placed,
    running_numbers,
)
from orchestrator_spaces.blocks.checkpoints import (
    BY_TORCHVISION,
    EPS,
    HALF,
    IMAGENET_21K,
    PLAIN,
    TENSORFLOW,
    WIGHTMAN,
    release,
    timm_file,
    torchvision_file,
)
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "translate_mobilenetv3"]

RIDNIK = "Ridnik et al. 2021, arXiv:2104.10972; Alibaba-MIIL/ImageNet21K, file by timm"
MIIL = release("timm", "Apache-2.0", RIDNIK, data=IMAGENET_21K, interpolation="bilinear", **PLAIN)
PORTED = release(
    "timm",
    "Apache-2.0",
    "Howard et al. 2019, arXiv:1905.02244; tensorflow/models, file by timm",
    options=TENSORFLOW,
    interpolation="bilinear",
    **HALF,
)
LARGE, SMALL = "mobilenetv3_large_100", "mobilenetv3_small_100"
PRETRAINED: dict[str, Checkpoint] = {
    "large-1.0-imagenet1k_v2": torchvision_file(
        BY_TORCHVISION,
        "large-1.0",
        "mobilenet_v3_large-5c1a4163.pth",
        top1_percent=75.274,
        options=EPS,
    ),
    "large-1.0-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION,
        "large-1.0",
        "mobilenet_v3_large-8738ca79.pth",
        top1_percent=74.042,
        options=EPS,
    ),
    "large-1.0-ra_in1k": timm_file(WIGHTMAN, "large-1.0", f"{LARGE}.ra_in1k"),
    "large-1.0-ra4_e3600_r224_in1k": timm_file(
        WIGHTMAN, "large-1.0", f"{LARGE}.ra4_e3600_r224_in1k", **HALF
    ),
    "large-1.0-miil_in21k_ft_in1k": timm_file(MIIL, "large-1.0", f"{LARGE}.miil_in21k_ft_in1k"),
    "large-1.0-miil_in21k": timm_file(MIIL, "large-1.0", f"{LARGE}.miil_in21k", classes=11221),
    "small-1.0-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION,
        "small-1.0",
        "mobilenet_v3_small-047dcff4.pth",
        top1_percent=67.668,
        options=EPS,
    ),
    "small-1.0-lamb_in1k": timm_file(WIGHTMAN, "small-1.0", f"{SMALL}.lamb_in1k"),
    "small-0.75-lamb_in1k": timm_file(WIGHTMAN, "small-0.75", "mobilenetv3_small_075.lamb_in1k"),
} | {
    f"{member}-tf_in1k": timm_file(PORTED, member, f"tf_mobilenetv3_{model}.in1k")
    for member, model in {
        "large-1.0": "large_100",
        "large-0.75": "large_075",
        "small-1.0": "small_100",
        "small-0.75": "small_075",
        "large-minimalistic": "large_minimal_100",
        "small-minimalistic": "small_minimal_100",
    }.items()
}

# Small leaves our fourth stage out.
DEPTHS = {"large": (1, 2, 3, 4, 2, 3), "small": (1, 2, 3, 0, 2, 3)}
TIMM_HEAD: Renames = (
    (r"^blocks\.6\.0\.conv\.", "last.conv."),
    (r"^blocks\.6\.0\.bn1\.", "last.norm."),
    (r"^conv_head\.", "hidden."),
)
TORCHVISION_ENDS: Renames = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^features\.\d+\.0\.", "last.conv."),
    (r"^features\.\d+\.1\.", "last.norm."),
    (r"^classifier\.0\.", "hidden."),
    (r"^classifier\.3\.", "classifier."),
)


def translate_mobilenetv3(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names; timm's hidden layer is a 1×1 convolution."""
    if naming == "timm":
        if "blocks.6.0.conv.weight" not in state:
            state = placed(
                state, r"^blocks\.([3-5])\.", lambda found: f"blocks.{int(found[1]) + 1}."
            )
        answer = renamed(state, (*TIMM_HEAD, *TIMM_ENDS, *TIMM))
        return answer | {"hidden.weight": answer["hidden.weight"].flatten(1)}
    if naming == "torchvision":
        layout = "large" if any(name.startswith("features.13.") for name in state) else "small"
        numbers = running_numbers(DEPTHS[layout], first=1)
        nested = placed(state, r"^features\.(\d+)\.(?=block\.)", numbers)
        return renamed(nested, (*TORCHVISION_ENDS, *TORCHVISION))
    raise unknown_naming("mobilenetv3", naming, ["timm", "torchvision"])
