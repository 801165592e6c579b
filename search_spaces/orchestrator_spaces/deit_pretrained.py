"""Where trained weights of DeiT are."""

from __future__ import annotations

from dataclasses import replace

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import release, timm_file

__all__ = ["PRETRAINED"]

COMMON = release(
    "timm",
    "Apache-2.0",
    "Touvron et al. 2020, arXiv:2012.12877; facebookresearch/deit",
)
# timm's name of each member, and the digits of the sha256 with which the authors' file is named.
FILES = {
    "s": ("deit_small_patch16_224", "cd65a155"),
    "s-distilled": ("deit_small_distilled_patch16_224", "649709d9"),
    "ti": ("deit_tiny_patch16_224", "a1311bcf"),
    "ti-distilled": ("deit_tiny_distilled_patch16_224", "b40b3cf7"),
    "b": ("deit_base_patch16_224", "b5f2ef4d"),
    "b-distilled": ("deit_base_distilled_patch16_224", "df68dfff"),
}


def _authors(member: str, model: str, digits: str) -> Checkpoint:
    """The authors' own file; its names are those that timm took over."""
    location = f"https://dl.fbaipublicfiles.com/deit/{model}-{digits}.pth"
    return replace(COMMON, member=member, locations=(location,), sha256=digits)


PRETRAINED: dict[str, Checkpoint] = {
    **{
        f"{member}-fb_in1k": timm_file(COMMON, member, f"{model}.fb_in1k")
        for member, (model, _) in FILES.items()
    },
    **{
        f"{member}-authors": _authors(member, model, digits)
        for member, (model, digits) in FILES.items()
    },
}
