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

from torch import nn

from orchestrator import ImageFacts, Outputs, SearchSpace, Trial
from orchestrator_spaces.blocks.questions import Range
from orchestrator_spaces.blocks.resolution import (
    FULL_RESOLUTIONS,
    SMALL_RESOLUTIONS,
    ask_resolution,
    side_of,
)
from orchestrator_spaces.blocks.transformer import MultiHeadAttention
from orchestrator_spaces.blocks.vision_transformer import (
    Deviations,
    DistilledVisionTransformer,
    ImageShape,
    VisionTransformer,
)

__all__ = ["SizeTable", "Table", "TransformerSearch", "answers"]


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
    resolutions: tuple[float, ...]
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
    resolutions=FULL_RESOLUTIONS,
    deviations=Deviations(),
)

# 32×32 in: 64 or 16 tokens; patches of 2 px only where that leaves 64 tokens too.
SMALL = Table(
    sizes={"small": SizeTable((24, 32, 40, 48), Range(2, 5), (2, 3, 4))},
    patches=(4, 8),
    half_patches=(2, 4),
    mlp_ratios=(2.0, 3.0, 4.0),
    head_width=16,
    resolutions=SMALL_RESOLUTIONS,
    deviations=Deviations(linear=None, tokens=0.5),
)


class TransformerSearch(SearchSpace):
    """A space of plain transformers; families differ in how the tokens are read out."""

    def __init__(self, *, preset: str = "small") -> None:
        super().__init__(preset=preset)
        self.table = {"full": FULL, "small": SMALL}[preset]

    @abstractmethod
    def suggest_readout(self, trial: Trial) -> dict[str, Any]:
        """`pooling`, "class" or "mean", and `distilled`: whether there is a second classifier."""

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Where tokens come from, how they are read out, their width, and the blocks."""
        table = self.table
        resolution = ask_resolution(trial, table.resolutions)
        if resolution == 0.5 and table.half_patches is not None:
            patch = trial.suggest_categorical("patch_at_half", list(table.half_patches))
        else:
            patch = trial.suggest_categorical("patch", list(table.patches))
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
            size = trial.suggest_categorical("size", list(sizes))
            prefix = f"{size}."
        width = trial.suggest_categorical(f"{prefix}width", list(sizes[size].widths))
        blocks = []
        for index in range(sizes[size].depth.ask(trial, f"{prefix}depth")):
            heads = trial.suggest_categorical(
                f"{prefix}blocks.{index}.heads", list(sizes[size].heads)
            )
            ratio = trial.suggest_categorical(
                f"blocks.{index}.mlp_ratio", list(self.table.mlp_ratios)
            )
            blocks.append({"heads": heads, "hidden": int(width * ratio)})
        return {"width": width, "head_width": self.table.head_width, "blocks": blocks}

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        """Raises BuildError for images smaller than a patch."""
        patch = architecture["patch"]
        side = side_of(facts.image_size, architecture["resolution"], least=patch, multiple=patch)
        network = DistilledVisionTransformer if architecture["distilled"] else VisionTransformer
        return network(
            architecture,
            classes=outputs.count,
            image=ImageShape(facts.in_channels, facts.image_size, side),
            deviations=self.table.deviations,
        )

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return [layer.qkv for layer in network.modules() if isinstance(layer, MultiHeadAttention)]


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
