"""Networks of a space for images that only have sizes."""

from __future__ import annotations

from typing import Any

from torch import nn

from orchestrator import Classes, ImageFacts, SearchSpace


def fresh(
    space: SearchSpace,
    architecture: Any,
    *,
    classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> nn.Module:
    """An untrained classifier."""
    facts = ImageFacts.unnamed(image_size, in_channels=in_channels, classes=classes)
    return space.build(architecture, facts, Classes(classes))
