"""Where a network looks: attention maps of its features, by their size.

Attention transfer (Zagoruyko and Komodakis 2017, arXiv:1612.03928): of a map (C, H, W) the mean of
squares over channels, as a vector of length 1. Rather than the features themselves (FitNets, Romero
et al. 2014, arXiv:1412.6550), since channels of two networks have nothing in common: those would
have to be projected by a layer that is trained along and thrown away, while an attention map has as
many entries for every width, and for tokens as for convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isqrt

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["attention", "looking_into", "matched"]

# A class token, and one for distillation, stand before those of the image.
_LEARNED_TOKENS = (0, 1, 2)
# One place has no attention to give away.
_LEAST_SIDE = 2


@contextmanager
def looking_into(network: nn.Module) -> Iterator[dict[int, Tensor]]:
    """Inside, the last map of each size that a block of `network` gave: side → (B, side²).

    Blocks are modules that have modules in them, or all where there are none.
    """
    seen: dict[int, Tensor] = {}

    def look(_: nn.Module, __: object, output: object) -> None:
        found = _energy(output) if isinstance(output, Tensor) else None
        if found is not None and (side := isqrt(found.shape[1])) >= _LEAST_SIDE:
            seen[side] = found

    inner = [module for module in network.modules() if module is not network]
    blocks = [module for module in inner if any(True for _ in module.children())]
    hooks = [module.register_forward_hook(look) for module in blocks or inner]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def attention(energy: Tensor) -> Tensor:
    """(B, places) → the same, each of length 1."""
    return functional.normalize(energy.flatten(1), dim=1)


def matched(
    first: Mapping[int, Tensor], second: Mapping[int, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of maps of one size.

    Where two networks share no size, the last map of each, the larger one averaged to the other's.
    """
    if alike := sorted(set(first) & set(second)):
        return [(first[side], second[side]) for side in alike]
    if not (first and second):
        return []
    side = min(*first, *second)
    return [(_pooled(first[min(first)], side), _pooled(second[min(second)], side))]


def _pooled(energy: Tensor, side: int) -> Tensor:
    """(B, places) → (B, side²)."""
    own = isqrt(energy.shape[1])
    square = energy.view(-1, 1, own, own)
    return functional.adaptive_avg_pool2d(square, side).flatten(1)


def _energy(output: Tensor) -> Tensor | None:
    """(B, places), the mean of squares over channels; None for what is no square map.

    Of maps (B, C, H, W) or (B, H, W, C), and of tokens (B, N, C).
    """
    shape = output.shape
    if output.dim() == 4:
        if shape[2] == shape[3]:
            return output.square().mean(1).flatten(1)
        return output.square().mean(3).flatten(1) if shape[1] == shape[2] else None
    if output.dim() != 3:
        return None
    for learned in _LEARNED_TOKENS:
        if isqrt(shape[1] - learned) ** 2 == shape[1] - learned:
            return output[:, learned:].square().mean(2)
    return None
