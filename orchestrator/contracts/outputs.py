"""What a network answers: the logits of classes, or a map of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Classes", "Maps", "Outputs"]


@dataclass(frozen=True)
class Classes:
    """One answer an image: logits (B, count)."""

    count: int


@dataclass(frozen=True)
class Maps:
    """One answer a place: logits (B, count, ceil(H / stride), ceil(W / stride))."""

    count: int
    stride: int = 1


Outputs = Classes | Maps
