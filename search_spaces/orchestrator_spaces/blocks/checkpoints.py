"""Rows of checkpoint tables: what is told once for many files of one publisher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator import Checkpoint

__all__ = [
    "BY_TORCHVISION",
    "EPS",
    "HALF",
    "IMAGENET_21K",
    "PLAIN",
    "TENSORFLOW",
    "WIGHTMAN",
    "release",
    "timm_file",
    "torchvision_file",
]

IMAGENET_21K = (
    "ImageNet-21k, then ImageNet-1k where there are 1000 classes "
    "(research use, see image-net.org/download)"
)
# Normalisations other than ImageNet's own statistics: to [-1, 1], and none.
HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "deviation": (0.5, 0.5, 0.5)}
PLAIN: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "deviation": (1.0, 1.0, 1.0)}
# Options of a space whose networks follow another convention (see `blocks/convention.py`).
TENSORFLOW: dict[str, Any] = {"convention": "tensorflow"}
EPS: dict[str, Any] = {"convention": "eps-1e-3"}


def release(naming: str, licence: str, credit: str, **facts: Any) -> Checkpoint:
    """What the files of one release have in common; member and locations are still to be said."""
    return Checkpoint("", (), naming, licence, credit, **facts)


def timm_file(common: Checkpoint, member: str, model: str, **facts: Any) -> Checkpoint:
    """timm's file of `model`, "NAME.TAG", on the Hugging Face hub."""
    location = f"hf://timm/{model}/model.safetensors"
    return replace(common, member=member, locations=(location,), **facts)


def torchvision_file(common: Checkpoint, member: str, file: str, **facts: Any) -> Checkpoint:
    """torchvision's `file`, "NAME-DIGITS.pth", whose name ends with digits of its sha256."""
    digits = file.removesuffix(".pth").rpartition("-")[2]
    location = f"https://download.pytorch.org/models/{file}"
    return replace(common, member=member, locations=(location,), sha256=digits, **facts)


# Trained by the libraries' own maintainers.
WIGHTMAN = release("timm", "Apache-2.0", "Wightman et al., huggingface/pytorch-image-models")
BY_TORCHVISION = release(
    "torchvision",
    "BSD-3-Clause",
    "torchvision, references/classification",
    interpolation="bilinear",
)
