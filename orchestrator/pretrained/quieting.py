"""Blocks that trained weights know nothing of, made to pass their input on as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from orchestrator.training.modes import evaluated

__all__ = ["quieten"]


@torch.no_grad()
def quieten(network: nn.Module, missing: Sequence[str], shape: tuple[int, int, int]) -> None:
    """Silence what new residual blocks add, as far as they then give what they take.

    `missing` names the parameters that were not trained, `shape` is that of an image. A block's
    last norm gets a γ of 0, as Goyal et al. start residual networks (2017, arXiv:1706.02677), or
    the last layer of each of its branches weights of 0. A block that then still changes its input
    is no residual one and stays as it was drawn.
    """
    blocks = _new_blocks(network, set(missing))
    if not blocks:
        return
    silent = list[str]()
    with evaluated(network):
        inputs = _inputs(network, list(blocks.values()), shape)
        for name, block in blocks.items():  # the outer ones first
            within = any(name.startswith(f"{outer}.") for outer in silent)
            if not within and block in inputs and _silence(block, inputs[block]):
                silent.append(name)


def _silence(block: nn.Module, x: Tensor) -> bool:
    for layers in _last_layers(block):
        drawn = [(tensor, tensor.clone()) for layer in layers for tensor in layer.parameters()]
        for tensor, _ in drawn:
            tensor.zero_()
        answer = block(x.clone())
        if isinstance(answer, Tensor) and torch.equal(answer, x):
            return True
        for tensor, before in drawn:
            tensor.copy_(before)
    return False


def _last_layers(block: nn.Module) -> Iterator[Sequence[nn.Module]]:
    """What to try, the likely one first."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    if norms and norms[-1].affine:
        yield norms[-1:]
    ends = []
    for branch in block.children():
        layers = [m for m in branch.modules() if isinstance(m, (nn.Linear, _ConvNd))]
        ends += layers[-1:]
    if ends:
        yield ends


def _new_blocks(network: nn.Module, missing: set[str]) -> dict[str, nn.Module]:
    """Modules with children of which no parameter was trained, by name."""
    found = {}
    for path, module in network.named_modules():
        names = [f"{path}.{n}" for n, _ in module.named_parameters(remove_duplicate=False)]
        if path and names and any(module.children()) and missing.issuperset(names):
            found[path] = module
    return found


def _inputs(
    network: nn.Module, blocks: Sequence[nn.Module], shape: tuple[int, int, int]
) -> dict[nn.Module, Tensor]:
    """Noise of the form that each block is given; blocks of several inputs are left out."""
    inputs: dict[nn.Module, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def note(block: nn.Module, given: tuple[Any, ...]) -> None:
        if len(given) == 1 and isinstance(given[0], Tensor):
            noise = torch.randn(given[0].shape, generator=generator)
            inputs[block] = noise.to(given[0])

    hooks = [block.register_forward_pre_hook(note) for block in blocks]
    try:
        network(torch.randn(1, *shape, generator=generator).to(next(network.parameters())))
    finally:
        for hook in hooks:
            hook.remove()
    return inputs
