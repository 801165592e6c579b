"""Which part of a shared tensor an architecture uses.

The default is the leading slice of each dimension, and the centre of a convolution's kernel. A
space may say otherwise, name by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from orchestrator.contracts import Part, SearchSpace
from orchestrator.errors import SharingError

__all__ = ["Region", "region_of"]


@dataclass(frozen=True)
class Region:
    """A part of a tensor, one slice or index tuple a dimension."""

    parts: tuple[Part, ...]

    @property
    def is_view(self) -> bool:
        """Whether the part can be seen in place, without a copy."""
        return all(isinstance(part, slice) for part in self.parts)

    def read(self, tensor: Tensor) -> Tensor:
        """The part: a view of `tensor` where `is_view`, else a copy."""
        return tensor[self._index(tensor.device)]

    @torch.no_grad()
    def write(self, tensor: Tensor, values: Tensor) -> None:
        """Put `values` where the part is."""
        tensor[self._index(tensor.device)] = values

    def _index(self, device: torch.device) -> tuple[slice | Tensor, ...]:
        if self.is_view:
            return tuple(part for part in self.parts if isinstance(part, slice))
        grids = []
        for place, part in enumerate(self.parts):
            entries = torch.arange(part.stop)[part] if isinstance(part, slice) else part
            shape = [1] * len(self.parts)
            shape[place] = -1
            grids.append(torch.as_tensor(entries, device=device).reshape(shape))
        return tuple(grids)


def region_of(
    space: SearchSpace, name: str, shapes: tuple[Sequence[int], Sequence[int]], *, kernel: bool
) -> Region:
    """The part of `name` for (shared shape, wanted shape); `kernel` marks a convolution's weight.

    Raises SharingError where the ranks differ, where the wanted shape is nowhere a part of the
    shared one, and for an answer of the space that does not fit.
    """
    full, wanted = (tuple(int(size) for size in shape) for shape in shapes)
    if len(full) != len(wanted):
        raise SharingError(
            f"parameter {name} has shapes {full} and {wanted} in two architectures of "
            f"{space.name}: two operators share a name. Give them different names."
        )
    if any(part > whole for part, whole in zip(wanted, full, strict=True)):
        raise SharingError(f"parameter {name}: {wanted} is no part of the shared {full}.")
    if full == wanted:
        return Region(tuple(slice(0, size) for size in full))
    parts = space.share(name, full, wanted)
    if parts is None:
        parts = _default(full, wanted, kernel=kernel)
    checked = tuple(map(_simplest, parts, full))
    if tuple(map(_length, checked)) != wanted:
        raise SharingError(
            f"{space.name}.share({name!r}, {full}, {wanted}) gives {parts}, expected one slice or "
            "tuple of indices a dimension, with as many entries as wanted."
        )
    return Region(checked)


def _default(full: Sequence[int], wanted: Sequence[int], *, kernel: bool) -> tuple[slice, ...]:
    starts = [
        (whole - part) // 2 if kernel and place >= 2 else 0
        for place, (whole, part) in enumerate(zip(full, wanted, strict=True))
    ]
    return tuple(slice(a, a + n) for a, n in zip(starts, wanted, strict=True))


def _simplest(part: Part, size: int) -> Part:
    """Indices at equal distances become a slice, which needs no copy; a slice gets its ends."""
    if isinstance(part, slice):
        return slice(*part.indices(size))
    step = part[1] - part[0] if len(part) > 1 else 1
    last = part[0] + step * len(part)
    if step > 0 and tuple(part) == tuple(range(part[0], last, step)):
        return slice(part[0], part[-1] + 1, step)
    return tuple(part)


def _length(part: Part) -> int:
    return len(range(part.start, part.stop, part.step)) if isinstance(part, slice) else len(part)
