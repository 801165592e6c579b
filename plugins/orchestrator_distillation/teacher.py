"""A teacher that answers the images a student sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrator.errors import CompressionError

__all__ = ["Teacher"]


class Teacher:
    """A network that is asked and never trained; it follows the images to their device."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, images: Tensor, logits: Tensor) -> Tensor:
        """Its logits (B, classes) for images (B, C, H, W).

        Raises CompressionError unless they have the shape of the student's `logits`.
        """
        self.network.to(images.device)
        with torch.no_grad():
            answer: Tensor = self.network(images)
        if answer.shape != logits.shape:
            raise CompressionError(
                f"the teacher answers {tuple(answer.shape)}, the student {tuple(logits.shape)}: "
                "both must know the same classes."
            )
        return answer
