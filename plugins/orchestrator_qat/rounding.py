"""Rounding to 8 bits in float arithmetic, with a gradient that passes as if nothing was rounded.

Activations take 256 steps between a lowest and a highest value, of which one is 0; weights take 255
steps of a size for each output channel, symmetrical, so that a batch norm that is folded into them
later only changes the size of the steps (Jacob et al. 2018, arXiv:1712.05877).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["RoundedWeights", "rounded"]

# How far ranges move with each batch towards the extremes of that batch.
_MOMENTUM = 0.02
_LEAST_WIDTH = 1e-6


class RoundedWeights(nn.Module):
    """A parametrization of weights (outputs, …), of which those stay 0 that are when it begins."""

    kept: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", weight.detach() != 0)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights on their channels' grids."""
        largest = weight.detach().abs().flatten(1).amax(1).clamp_min(_LEAST_WIDTH)
        zeros = torch.zeros_like(largest, dtype=torch.int32)
        kept = weight * self.kept
        return torch.fake_quantize_per_channel_affine(kept, largest / 127, zeros, 0, -127, 127)


def rounded(x: Tensor, span: Tensor, *, learn: bool) -> Tensor:
    """`x` on the grid of `span`, its lowest and highest value, which first learn from `x`."""
    if learn:
        seen = torch.stack(torch.aminmax(x.detach().float()))
        span.lerp_(seen, _MOMENTUM)
    low, high = span.clamp(max=0)[0], span.clamp(min=0)[1]
    step = (high - low).clamp_min(_LEAST_WIDTH) / 255
    zero = torch.round(-low / step).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x.float(), step, zero, 0, 255).to(x.dtype)
