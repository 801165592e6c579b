"""A backbone's pyramid and a head as one network, which answers with maps of a fixed stride."""

from __future__ import annotations

from torch import Tensor, nn

from orchestrator_segmentation.heads import resized

__all__ = ["Segmenter"]


class Segmenter(nn.Module):
    """`backbone` gives a tuple of maps, `head` logits of some resolution.

    They are brought to ceil(H / stride) × ceil(W / stride), whatever resolution the backbone
    works at, so that all networks of a search answer alike.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, stride: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, classes, ceil(H / stride), ceil(W / stride)) logits."""
        height, width = (-(-int(side) // self.stride) for side in x.shape[-2:])
        return resized(self.head(self.backbone(x)), (height, width))
