"""What ViT and DeiT search: the choices of AutoFormer, and where tokens come from.

Chen et al., "AutoFormer: Searching Transformers for Visual Recognition", 2021, arXiv:2107.00651,
and the authors' code (microsoft/Cream): one embedding width and depth for the network, heads and
MLP ratio for each block, a head's width fixed, in three sizes. Its relative positions are left
out, as ViT and DeiT have none; depths reach one block lower and the largest size up to ViT-B.
Added: the patch, the image size, and a convolutional stem in place of the patches (Xiao et al.
2021, arXiv:2106.14881).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Trial
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import fused_projections
from orchestrator_spaces.blocks.vision_transformer import (
    Deviations,
    DistilledVisionTransformer,
    VisionTransformer,
    resampled_positions,
)
from orchestrator_spaces.blocks.vision_transformer_naming import translate_vision_transformer
from orchestrator_spaces.family import Family

__all__ = ["SizeTable", "Table", "TransformerSearch", "answers"]

# How the table of positions of a square grid is called; its side follows.
GRID = "positions.grid"


@dataclass(frozen=True)
class SizeTable:
    """What a network of one size may be: token width, number of blocks, heads of a block."""

    widths: tuple[int, ...]
    depth: Range
    heads: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """What a preset may be. `half_patches` are the patches at half of the image size."""

    sizes: Mapping[str, SizeTable]
    patches: tuple[int, ...]
    half_patches: tuple[int, ...] | None
    mlp_ratios: tuple[float, ...]
    head_width: int
    deviations: Deviations


FULL = Table(
    sizes={
        "tiny": SizeTable((192, 216, 240), Range(11, 14), (3, 4)),
        "small": SizeTable((320, 384, 448), Range(11, 14), (5, 6, 7)),
        "base": SizeTable((528, 576, 624, 768), Range(11, 16), (8, 9, 10, 12)),
    },
    patches=(16, 32),
    half_patches=None,
    mlp_ratios=(3.0, 3.5, 4.0),
    head_width=64,
    deviations=Deviations(),
)

# 32×32 in: 64 or 16 tokens; patches of 2 px only where that leaves 64 tokens too.
SMALL = Table(
    sizes={"small": SizeTable((24, 32, 40, 48), Range(2, 5), (2, 3, 4))},
    patches=(4, 8),
    half_patches=(2, 4),
    mlp_ratios=(2.0, 3.0, 4.0),
    head_width=16,
    deviations=Deviations(linear=None, tokens=0.5),
)

TABLES = {"full": FULL, "small": SMALL}


class TransformerSearch(Family[Table]):
    """A space of plain transformers; families differ in how the tokens are read out."""

    tables = TABLES

    @abstractmethod
    def suggest_readout(self, trial: Trial) -> dict[str, Any]:
        """`pooling`, "class" or "mean", and `distilled`: whether there is a second classifier."""

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Where tokens come from, how they are read out, their width, and the blocks."""
        table = self.table
        resolution = self.ask_resolution(trial)
        if resolution == 0.5 and table.half_patches is not None:
            patch = choose(trial, "patch_at_half", table.half_patches)
        else:
            patch = choose(trial, "patch", table.patches)
        return {
            "resolution": resolution,
            "patch": patch,
            "stem": trial.suggest_categorical("stem", ["patch", "conv"]),
            **self.suggest_readout(trial),
            **self._suggest_blocks(trial),
        }

    def _suggest_blocks(self, trial: Trial) -> dict[str, Any]:
        sizes = self.table.sizes
        size, prefix = next(iter(sizes)), ""
        if len(sizes) > 1:
            size = choose(trial, "size", sizes)
            prefix = f"{size}."
        width = choose(trial, f"{prefix}width", sizes[size].widths)
        blocks = []
        for index in range(sizes[size].depth.ask(trial, f"{prefix}depth")):
            heads = choose(trial, f"{prefix}blocks.{index}.heads", sizes[size].heads)
            ratio = choose(trial, f"blocks.{index}.mlp_ratio", self.table.mlp_ratios)
            blocks.append({"heads": heads, "hidden": int(width * ratio)})
        return {"width": width, "head_width": self.table.head_width, "blocks": blocks}

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        network = DistilledVisionTransformer if architecture["distilled"] else VisionTransformer
        deviations = self.table.deviations
        return network(architecture, classes=classes, image=image, deviations=deviations)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """A patch."""
        patch: int = architecture["patch"]
        return patch

    def side_step(self, architecture: Mapping[str, Any]) -> int:
        """A patch."""
        return self.least_side(architecture)

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From timm's names and torchvision's."""
        width = self.table.head_width
        return translate_vision_transformer(state, naming, family=self.name, head_width=width)

    def derive(self, name: str, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Positions of another grid of patches."""
        side = name.removeprefix(GRID)
        known = next((each for other, each in tensors.items() if other.startswith(GRID)), None)
        if known is None or not name.startswith(GRID):
            return None
        return resampled_positions(known, int(side))

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return fused_projections(network)


def answers(
    width: int, heads: Sequence[int], *, patch: int, mlp_ratio: float = 4.0, size: str = ""
) -> dict[str, Any]:
    """Choices of a network on whole images cut into patches; `heads` of each block.

    `size` is empty in a preset of one size. What `suggest_readout` asks is not among them.
    """
    prefix = f"{size}." if size else ""
    choices: dict[str, Any] = {"resolution": 1.0, "patch": patch, "stem": "patch"}
    if size:
        choices["size"] = size
    choices |= {f"{prefix}width": width, f"{prefix}depth": len(heads)}
    for index, count in enumerate(heads):
        choices[f"{prefix}blocks.{index}.heads"] = count
        choices[f"blocks.{index}.mlp_ratio"] = mlp_ratio
    return choices
