"""DeiT and a space around it.

Touvron et al., "Training data-efficient image transformers & distillation through attention",
2020, arXiv:2012.12877, and the authors' code (facebookresearch/deit). ViT's networks, and with
them a second learned token whose classifier learns a teacher's answers (hard distillation; the
compressor `distillation` with kind "hard"). The choices are those of AutoFormer, see
blocks/transformer_search.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator import Checkpoint, Published, Trial
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.transformer_search import TransformerSearch, answers
from orchestrator_spaces.deit_pretrained import PRETRAINED

__all__ = ["DeiTSpace"]


class DeiTSpace(TransformerSearch):
    """Patch, stem, distillation token, width and depth; heads and MLP ratio of each block."""

    name = "deit"

    def suggest_readout(self, trial: Trial) -> dict[str, Any]:
        """Always a class token; with a distillation token there are two classifiers."""
        distilled = trial.suggest_categorical("distillation_token", [False, True])
        return {"pooling": "class", "distilled": distilled}

    def published(self) -> Mapping[str, Published]:
        """B, S and Ti with and without distillation, or what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """By timm, and the authors' own files."""
        return PRETRAINED if self.preset == "full" else {}


PAPER = "Touvron et al. 2020, arXiv:2012.12877"


def _published_full() -> dict[str, Published]:
    b = answers(768, [12] * 12, patch=16, size="base")
    s = answers(384, [6] * 12, patch=16, size="small")
    ti = answers(192, [3] * 12, patch=16, size="tiny")
    two, one = {"distillation_token": True}, {"distillation_token": False}
    code = f"{PAPER}; facebookresearch/deit"
    return {
        "b-distilled": Published(b | two, 224, code, 87_338_192, 17_656_811_520, 83.4),
        "b": Published(b | one, 224, code, 86_567_656, 17_563_828_224, 81.8),
        "s-distilled": Published(s | two, 224, code, 22_436_432, 4_624_140_288, 81.2),
        "s": Published(s | one, 224, code, 22_050_664, 4_598_882_304, 79.9),
        "ti-distilled": Published(ti | two, 224, code, 5_910_800, 1_261_003_776, 74.5),
        "ti": Published(ti | one, 224, code, 5_717_416, 1_253_683_200, 72.2),
    }


def _published_small() -> dict[str, Published]:
    how = (
        "patches of 4 px, heads of 16 channels, a sixteenth to an eighth of "
        "the width, a third of the depth"
    )
    b, s = answers(48, [3] * 5, patch=4), answers(32, [2] * 4, patch=4)
    ti = answers(24, [2] * 3, patch=4)
    two, one = {"distillation_token": True}, {"distillation_token": False}
    points = {
        "b-distilled": b | two,
        "s-distilled": s | two,
        "s": s | one,
        "ti-distilled": ti | two,
    }
    return scaled(PAPER, how, points)
