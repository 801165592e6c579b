"""Residual blocks that may be left out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from orchestrator import leave_out
from orchestrator_own.proving import Proof
from orchestrator_own.watching import Passage

__all__ = ["Stage", "residual_blocks", "stages"]


@dataclass(frozen=True)
class Stage:
    """Blocks of one container and one shape, of which the last ones may be left out, in order."""

    name: str
    blocks: tuple[str, ...]

    @property
    def least(self) -> int:
        """How many of them stay at least: a half, rounded down."""
        return len(self.blocks) // 2

    def left_out(self, kept: int) -> tuple[str, ...]:
        """The blocks that go where so many stay."""
        return self.blocks[kept:]


def residual_blocks(proof: Proof, passages: Mapping[str, Passage]) -> dict[str, str | None]:
    """Block → why it cannot be left out, None where it can; innermost ones only.

    A block gives what it is given plus something of its own: it keeps the shape, and with all its
    weights 0 what comes out still depends on what goes in.
    """
    found: dict[str, str | None] = {}
    for name, passage in passages.items():  # inner modules finish before outer ones
        module = proof.network.get_submodule(name) if name else proof.network
        if not name or not passage.keeps_shape or not _has_layers(module):
            continue
        if any(inner.startswith(f"{name}.") for inner in found):
            continue
        assert passage.given is not None
        if _adds(module, passage.given):
            other = copy.deepcopy(proof.network)
            try:
                leave_out(other, [name])
                found[name] = proof.failure(other)
            except Exception as error:
                found[name] = repr(error)
    return found


def stages(
    passages: Mapping[str, Passage], blocks: Mapping[str, str | None], order: Mapping[str, int]
) -> list[Stage]:
    """The blocks that may be left out, by container and shape."""
    found: dict[tuple[str, tuple[int, ...] | None], list[str]] = {}
    for name in sorted(
        (b for b, reason in blocks.items() if reason is None), key=order.__getitem__
    ):
        found.setdefault((_container(name), passages[name].given), []).append(name)
    return [Stage(names[0], tuple(names)) for names in found.values()]


def _container(name: str) -> str:
    """What holds a block: blocks.3.attention and blocks.4.attention are of one."""
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _has_layers(module: nn.Module) -> bool:
    """Layers inside, rather than being one."""
    return any(True for _ in module.children()) and any(
        parameter.dim() > 1 for parameter in module.parameters()
    )


@torch.no_grad()
def _adds(module: nn.Module, shape: tuple[int, ...]) -> bool:
    empty = copy.deepcopy(module)
    for parameter in empty.parameters():
        parameter.zero_()
    generator = torch.Generator().manual_seed(0)
    # Positive, as behind an activation.
    first, second = (torch.rand(shape, generator=generator) for _ in range(2))
    try:
        return not torch.allclose(empty(first), empty(second))
    except Exception:
        return False
