"""Which channels of a network come and go together, and what it is with fewer of them.

Groups are found by tracing (Fang et al. 2023, DepGraph, arXiv:2301.12900). Attention is told apart
by modules with a number of heads, of which whole ones are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

__all__ = ["SHARES", "Heads", "Slot", "Width", "narrow", "with_options"]

# Of a group's channels.
SHARES = (0.25, 0.5, 0.75, 1.0)
# What modules of attention call a size that is their heads' together.
_SIZES = (
    "all_head_size",
    "attn_dim",
    "dim",
    "embed_dim",
    "hidden_size",
    "inner_dim",
    "kdim",
    "vdim",
)


@dataclass(frozen=True)
class Slot:
    """A dimension of a tensor where channels of a group lie: `roots[i]` is the channel of entry i.

    −1 is an entry of no group, which always stays.
    """

    tensor: str
    dimension: int
    roots: tuple[int, ...]

    @property
    def layer(self) -> str:
        """The module that holds the tensor."""
        return self.tensor.rpartition(".")[0]

    def kept(self, roots: frozenset[int]) -> tuple[int, ...]:
        """The entries that stay where these channels do."""
        return tuple(i for i, root in enumerate(self.roots) if root < 0 or root in roots)


@dataclass(frozen=True)
class Heads:
    """A module's attribute that counts heads of `size` channels each."""

    module: str
    attribute: str
    size: int


@dataclass(frozen=True)
class Width:
    """Channels that are searched as one: `sizes` of the groups that meet in some layer.

    `options` are the channels each keeps, ascending; the last keeps all. `step` is what numbers
    of channels must be multiples of, `writers` the layers that give these channels.
    """

    name: str
    sizes: tuple[int, ...]
    slots: tuple[Slot, ...]
    writers: tuple[str, ...]
    heads: tuple[Heads, ...] = ()
    step: int = 1
    options: tuple[tuple[int, ...], ...] = ()

    @property
    def totals(self) -> tuple[int, ...]:
        """Channels kept in all, an option each."""
        return tuple(sum(option) for option in self.options)

    @property
    def layers(self) -> frozenset[str]:
        """Every module that has some of the channels."""
        return frozenset(slot.layer for slot in self.slots)

    def roots(self, total: int) -> frozenset[int]:
        """The channels kept where `total` are: the leading ones of each group."""
        option = self.options[self.totals.index(total)]
        starts = [sum(self.sizes[:place]) for place in range(len(self.sizes))]
        return frozenset(
            start + channel
            for start, kept in zip(starts, option, strict=True)
            for channel in range(kept)
        )


def with_options(width: Width, shares: Sequence[float] = SHARES) -> Width:
    """With the numbers of channels that may be kept."""
    found = {
        tuple(_rounded(size, share, width.step) for size in width.sizes) for share in shares
    } | {width.sizes}
    ordered = sorted(found, key=sum)
    totals = [sum(option) for option in ordered]
    kept = [
        option for option, total in zip(ordered, totals, strict=True) if totals.count(total) < 2
    ]
    return replace(width, options=tuple(kept))


def _rounded(size: int, share: float, least: int) -> int:
    """A multiple of what must divide it, of 8 where a group is wide enough to be."""
    comfortable = 8 if size >= 32 else 4 if size >= 16 else 1
    step = math.lcm(least, comfortable)
    step = step if size % step == 0 else least
    return min(size, max(step, round(size * share / step) * step))


@torch.no_grad()
def narrow(network: nn.Module, kept: Iterable[tuple[Width, int]]) -> None:
    """Keep so many channels of each width, in place; sizes that modules know of follow."""
    changed: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
    for width, total in kept:
        if total == sum(width.sizes):
            continue
        roots = width.roots(total)
        for slot in width.slots:
            entries = slot.kept(roots)
            if len(entries) < len(slot.roots):
                changed.setdefault(slot.tensor, []).append((slot.dimension, entries))
        for heads in width.heads:
            _keep_heads(network.get_submodule(heads.module), heads, total, sum(width.sizes))
    for name, parts in changed.items():
        owner = network.get_submodule(name.rpartition(".")[0])
        _cut(owner, name.rpartition(".")[2], parts)
        name_sizes(owner)


def _cut(owner: nn.Module, leaf: str, parts: Sequence[tuple[int, tuple[int, ...]]]) -> None:
    old = getattr(owner, leaf)
    tensor: Tensor = old.detach()
    for dimension, entries in parts:
        index = torch.tensor(entries, device=tensor.device)
        tensor = tensor.index_select(dimension, index)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(owner, leaf, nn.Parameter(tensor, old.requires_grad) if is_parameter else tensor)


def _keep_heads(module: nn.Module, heads: Heads, kept: int, full: int) -> None:
    setattr(module, heads.attribute, kept // heads.size)
    for name in _SIZES:
        if getattr(module, name, None) == full and isinstance(getattr(module, name), int):
            setattr(module, name, kept)


def name_sizes(module: nn.Module) -> None:
    """Make a layer's own account of its size agree with its tensors."""
    if isinstance(module, _ConvNd):
        first, second = module.weight.shape[:2]
        if module.groups == module.in_channels > 1:
            module.groups = first
        sizes = (second * module.groups, first)
        if isinstance(module, _ConvTransposeNd):
            sizes = (first, second * module.groups)
        module.in_channels, module.out_channels = sizes
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NormBase):
        tensor = module.weight if module.affine else module.running_mean
        module.num_features = len(tensor) if tensor is not None else module.num_features
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
