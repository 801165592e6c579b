"""Whole residual blocks are left out.

Of blocks that are alike in shape those go first that change least of what they are given, as Men et
al. rank layers (2024, arXiv:2403.03853): such a block is next to nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import CompressionContext, evaluated, leave_out
from orchestrator_pruning.checking import check_forward, example
from orchestrator_pruning.pruning import FineTuning, Pruning, images_for

__all__ = ["BlockPruning"]

_IMAGES = 64


class BlockPruning(Pruning):
    """Leaves out the same share of every run of equal residual blocks, one staying at least.

    Equal are blocks of one container whose layers are the same, kernels and shapes included, so
    that how large and fast the network gets depends on the choices alone, whichever of them go. A
    block is residual where it gives what it is given once its weights are 0. Other options are
    those of `ChannelPruning`.
    """

    name = "block_pruning"

    def __init__(
        self,
        *,
        ratios: tuple[float, ...] = (0.0, 0.34, 0.5),
        max_drop: float | None = None,
        retrain_share: float = 0.3,
        steps: int = 1,
        teacher_share: float = 0.5,
    ) -> None:
        super().__init__(ratios, max_drop, FineTuning(retrain_share, steps, teacher_share))

    def remover(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> _BlockRemover:
        """Ratios are of the blocks there were at first."""
        return _BlockRemover(network, context)


class _BlockRemover:
    def __init__(self, network: nn.Module, context: CompressionContext) -> None:
        self.network = network
        self.context = context
        self.images = images_for(network, context)[:_IMAGES]
        self.runs = _runs(network, example(network, context))
        self.gone: list[str] = []

    @property
    def achieved(self) -> float:
        """Of all residual blocks."""
        return len(self.gone) / max(1, sum(len(run) for run in self.runs))

    @property
    def obstacle(self) -> str:
        """What keeps every block."""
        return (
            "found residual blocks in runs of "
            f"{[len(run) for run in self.runs]} that are equal, expected a run of which that share "
            "is a whole block"
        )

    def __call__(self, ratio: float) -> nn.Module:
        """Until that share of each run is gone; raises CompressionError."""
        changes = _changes(self.network, [b for run in self.runs for b in run], self.images)
        for run in self.runs:
            left = [block for block in run if block not in self.gone]
            most = min(int(ratio * len(run)), len(run) - 1) - (len(run) - len(left))
            going = sorted(left, key=lambda block: changes.get(block, 0.0))[: max(0, most)]
            leave_out(self.network, going)
            self.gone += going
        check_forward(self.network, self.images[:1])
        return self.network


def _runs(network: nn.Module, image: Tensor) -> list[list[str]]:
    """Names of equal residual blocks of one container, at least two each, in order."""
    found: dict[tuple[str, str, torch.Size], list[str]] = {}
    for name, (given, given_back) in _passages(network, image).items():
        block = network.get_submodule(name)
        inner = any(other.startswith(f"{name}.") for names in found.values() for other in names)
        if given.shape == given_back.shape and not inner and _adds(block, given):
            container = name.rpartition(".")[0]
            found.setdefault((container, repr(block), given.shape), []).append(name)
    return [names for names in found.values() if len(names) > 1]


def _adds(block: nn.Module, given: Tensor) -> bool:
    """Whether it gives back what it is given, but for what its weights make of it."""
    if not any(True for _ in block.children()) or not any(True for _ in block.parameters()):
        return False
    empty = copy.deepcopy(block)
    with torch.no_grad():
        for parameter in empty.parameters():
            parameter.zero_()
        try:
            return torch.equal(empty(given.clone()), given)
        except Exception:
            return False  # it is called with more than one thing


def _changes(network: nn.Module, blocks: list[str], images: Tensor) -> dict[str, float]:
    """Block → by how much it changes what it is given, relative to that."""
    passages = _passages(network, images)
    return {
        name: float((out - given).norm() / given.norm().clamp_min(1e-12))
        for name, (given, out) in passages.items()
        if name in blocks
    }


@torch.no_grad()
def _passages(network: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Module → what it is given and gives back, of those with one tensor each; inner ones first."""
    given: dict[str, Tensor] = {}
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def enter(name: str) -> Any:
        def look(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            if len(inputs) == 1 and isinstance(inputs[0], Tensor):
                given[name] = inputs[0].clone()

        return look

    def leave(name: str) -> Any:
        def look(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and name in given:
                found[name] = given[name], output

        return look

    named = [(name, m) for name, m in network.named_modules() if name and _has_layers(m)]
    hooks = [module.register_forward_pre_hook(enter(name)) for name, module in named]
    hooks += [module.register_forward_hook(leave(name)) for name, module in named]
    try:
        with evaluated(network):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _has_layers(module: nn.Module) -> bool:
    return any(True for _ in module.children())
