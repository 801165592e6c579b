"""ViT and a space around it.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
2020, arXiv:2010.11929; its Ti and S sizes and their accuracies: Steiner et al., "How to train
your ViT?", 2021, arXiv:2106.10270; code: google-research/vision_transformer. Without the hidden
layer before the classifier, which those networks lose at fine-tuning. The choices are those of
AutoFormer (see blocks/transformer_search.py), with the class token or the mean of all tokens
(Beyer, Zhai and Kolesnikov 2022, arXiv:2205.01580).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator import Checkpoint, Published, Trial
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.transformer_search import TransformerSearch, answers
from orchestrator_spaces.vit_pretrained import PRETRAINED

__all__ = ["ViTSpace"]


class ViTSpace(TransformerSearch):
    """Patch, stem, pooling, token width and depth; heads and MLP ratio of each block."""

    name = "vit"

    def suggest_readout(self, trial: Trial) -> dict[str, Any]:
        """A class token or the mean over all tokens; one classifier."""
        pooling = trial.suggest_categorical("pooling", ["class", "mean"])
        return {"pooling": pooling, "distilled": False}

    def published(self) -> Mapping[str, Published]:
        """B/16, S/16 and Ti/16, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """Of Google, by timm, and of torchvision."""
        return PRETRAINED if self.preset == "full" else {}


PAPER = "Dosovitskiy et al. 2020, arXiv:2010.11929"
CODE = "google-research/vision_transformer"
# Ti and S appear in a later paper, whose accuracies are of networks that saw ImageNet-21k first.
LATER = f"Steiner et al. 2021, arXiv:2106.10270, pre-trained on ImageNet-21k; {CODE}"


def _published_full() -> dict[str, Published]:
    token = {"pooling": "class"}
    b = answers(768, [12] * 12, patch=16, size="base") | token
    s = answers(384, [6] * 12, patch=16, size="small") | token
    ti = answers(192, [3] * 12, patch=16, size="tiny") | token
    fine_tuned = f"{PAPER}, fine-tuned at 384 px; {CODE}"
    return {
        "b16": Published(b, 224, fine_tuned, 86_567_656, 17_563_828_224, 77.9),
        "s16": Published(s, 224, LATER, 22_050_664, 4_598_882_304, 81.4),
        "ti16": Published(ti, 224, LATER, 5_717_416, 1_253_683_200, 75.5),
    }


def _published_small() -> dict[str, Published]:
    how = (
        "patches of 4 px, heads of 16 channels, a sixteenth to an eighth of "
        "the width, a third of the depth"
    )
    points = {
        "b4": answers(48, [3] * 5, patch=4),
        "s4": answers(32, [2] * 4, patch=4),
        "ti4": answers(24, [2] * 3, patch=4),
    }
    points = {name: choices | {"pooling": "class"} for name, choices in points.items()}
    return scaled(PAPER, how, points)
