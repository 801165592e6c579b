"""Where trained weights of ViT are."""

from __future__ import annotations

from dataclasses import replace

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import (
    HALF,
    IMAGENET_21K,
    release,
    timm_file,
    torchvision_file,
)

__all__ = ["PRETRAINED"]

STEINER = "Steiner et al. 2021, arXiv:2106.10270; google-research/vision_transformer, file by timm"
TWO_STEPS = release("timm", "Apache-2.0", STEINER, data=IMAGENET_21K, **HALF)
ONE_STEP = release("timm", "Apache-2.0", STEINER, **HALF)
ORIGINAL = release(
    "timm",
    "Apache-2.0",
    "Dosovitskiy et al. 2020, arXiv:2010.11929; google-research/vision_transformer, file by timm",
    data=IMAGENET_21K,
    **HALF,
)
SHARPNESS = release(
    "timm",
    "Apache-2.0",
    "Chen et al. 2021, arXiv:2106.01548; google-research/vision_transformer, file by timm",
    **HALF,
)
BAMBOO = release(
    "timm",
    "unknown",
    "Zhang et al. 2022, arXiv:2203.07845; ZhangYuanhan-AI/Bamboo, file by timm",
    data="Bamboo (69 million images of its authors' collection)",
    mean=(0.48145466, 0.4578275, 0.40821073),
    deviation=(0.26862954, 0.26130258, 0.27577711),
)
TORCHVISION = release(
    "torchvision", "BSD-3-Clause", "torchvision, references/classification", top1_percent=81.072
)
SWAG = release(
    "torchvision",
    "CC-BY-NC-4.0",
    "Singh et al. 2022, arXiv:2201.08371; facebookresearch/SWAG, file by torchvision",
    data="Instagram images and hashtags, then ImageNet-1k (research use, image-net.org/download)",
    top1_percent=81.886,
)
# An older file of the same weights, which has a known sha256.
OLDER = (
    "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/"
    "jx_vit_base_p16_224-80ecf9dd.pth"
)

TI, S, B = (f"vit_{size}_patch16_224" for size in ("tiny", "small", "base"))
IN_21K = {"classes": 21843}

# Fine-tuned ones first; those without any classifier (DINO, MAE) are no classifiers and left out.
PRETRAINED: dict[str, Checkpoint] = {
    "s16-augreg_in21k_ft_in1k": timm_file(TWO_STEPS, "s16", f"{S}.augreg_in21k_ft_in1k"),
    "ti16-augreg_in21k_ft_in1k": timm_file(TWO_STEPS, "ti16", f"{TI}.augreg_in21k_ft_in1k"),
    "b16-augreg2_in21k_ft_in1k": timm_file(TWO_STEPS, "b16", f"{B}.augreg2_in21k_ft_in1k"),
    "b16-augreg_in21k_ft_in1k": timm_file(TWO_STEPS, "b16", f"{B}.augreg_in21k_ft_in1k"),
    "b16-orig_in21k_ft_in1k": timm_file(ORIGINAL, "b16", f"{B}.orig_in21k_ft_in1k"),
    "b16-orig_pth": replace(ORIGINAL, member="b16", locations=(OLDER,), sha256="80ecf9dd"),
    "s16-augreg_in1k": timm_file(ONE_STEP, "s16", f"{S}.augreg_in1k"),
    "b16-augreg_in1k": timm_file(ONE_STEP, "b16", f"{B}.augreg_in1k"),
    "b16-sam_in1k": timm_file(SHARPNESS, "b16", f"{B}.sam_in1k"),
    "b16-tv_in1k": torchvision_file(TORCHVISION, "b16", "vit_b_16-c867db91.pth"),
    "b16-swag_lc_in1k": torchvision_file(SWAG, "b16", "vit_b_16_lc_swag-4e70ced5.pth"),
    "s16-augreg_in21k": timm_file(TWO_STEPS, "s16", f"{S}.augreg_in21k", **IN_21K),
    "ti16-augreg_in21k": timm_file(TWO_STEPS, "ti16", f"{TI}.augreg_in21k", **IN_21K),
    "b16-augreg_in21k": timm_file(TWO_STEPS, "b16", f"{B}.augreg_in21k", **IN_21K),
    "b16-bamboo": timm_file(BAMBOO, "b16", f"{B}.bamboo", classes=115217),
}
