"""A ratio for each group of channels, more where the loss minds less.

How much a loss rises when one group alone loses channels differs by far between groups (Li et al.
2017, arXiv:1608.08710, section 3.2). It is measured here by silencing channels of one group at a
time on the calibration images; ratios are then handed out in small portions, each to the group
whose loss rises least for the multiply-adds that it saves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from orchestrator import CompressionContext, channel_graph, evaluated
from orchestrator_pruning.criteria import Importance
from orchestrator_pruning.gradients import calibration_loss

__all__ = ["Sensitivity", "handed_out", "most_of", "sensitivities"]

# Shares of a group's channels that are silenced; what lies between is interpolated.
_LEVELS = (0.25, 0.5, 0.75)
_PORTIONS = 6
_MOST = 0.9


@dataclass(frozen=True)
class Sensitivity:
    """Of one group: its first layer, the multiply-adds of all its layers, the loss by level.

    `losses` are of the whole network and of it with each share of the group's channels silent.
    """

    layer: nn.Module
    macs: float
    losses: tuple[float, ...]

    def loss(self, ratio: float) -> float:
        """With that share of its channels gone, between the shares that were measured."""
        place = min(ratio / _LEVELS[0], len(_LEVELS) - 1e-9)
        low, part = int(place), place - int(place)
        return self.losses[low] * (1 - part) + self.losses[low + 1] * part


def most_of(ratio: float) -> float:
    """The largest share that a group may lose where that is the mean."""
    return min(_MOST, 1.5 * ratio)


def sensitivities(
    network: nn.Module,
    fixed: Sequence[nn.Module],
    importance: Importance,
    context: CompressionContext,
) -> list[Sensitivity]:
    """Of every group that may lose channels; cost: three forward passes of the images a group."""
    images = torch.from_numpy(context.calibration[:1].copy()).to(next(network.parameters()))
    macs = _macs(network, images)
    with evaluated(network):
        graph = channel_graph(network, images)
        whole = calibration_loss(network, context)
        found = []
        for group in graph.get_all_groups(ignored_layers=list(fixed)):
            score = importance(group)
            if score is not None:
                losses = (whole, *_silenced_losses(network, group, score, context))
                first = group[0].dep.target.module
                found.append(Sensitivity(first, _macs_of(group, macs), losses))
    return found


def handed_out(found: Sequence[Sensitivity], ratio: float) -> dict[nn.Module, float]:
    """First layer of each group → its ratio; their mean over multiply-adds is `ratio`."""
    portion = most_of(ratio) / _PORTIONS
    taken = {each.layer: 0 for each in found}
    left = ratio * sum(each.macs for each in found)
    while left > 0 and (open_ones := [each for each in found if taken[each.layer] < _PORTIONS]):
        prices = [_price(each, taken[each.layer] * portion, portion) for each in open_ones]
        cheapest = open_ones[prices.index(min(prices))]
        taken[cheapest.layer] += 1
        left -= portion * cheapest.macs
    return {layer: count * portion for layer, count in taken.items()}


def _price(each: Sensitivity, ratio: float, portion: float) -> float:
    """What the loss rises by for each multiply-add that the next portion saves."""
    rise = each.loss(ratio + portion) - each.loss(ratio)
    return rise / max(1.0, portion * each.macs)


def _silenced_losses(
    network: nn.Module, group: Any, score: Tensor, context: CompressionContext
) -> Iterator[float]:
    order = torch.argsort(score).tolist()
    for level in _LEVELS:
        with _silent(group, set(order[: int(level * len(order))])):
            yield calibration_loss(network, context)


@contextmanager
def _silent(group: Any, channels: set[int]) -> Iterator[None]:
    """Channels of a group, by the root's numbers, are 0 inside."""
    kept: list[tuple[Tensor, Tensor]] = []
    for item in group:
        layer = item.dep.target.module
        if not group._DG.is_out_channel_pruning_fn(item.dep.handler) or layer is None:
            continue
        pairs = zip(item.idxs, item.root_idxs, strict=True)
        places = [place for place, root in pairs if root in channels]
        for name in ("weight", "bias"):
            tensor = getattr(layer, name, None)
            if isinstance(tensor, nn.Parameter) and places and max(places) < len(tensor):
                kept.append((tensor.data, tensor.data.clone()))
                tensor.data[places] = 0
    try:
        yield
    finally:
        for tensor, before in reversed(kept):
            tensor.copy_(before)


def _macs_of(group: Any, macs: Mapping[nn.Module, float]) -> float:
    layers = {item.dep.target.module for item in group}
    return sum(macs.get(layer, 0.0) for layer in layers)


@torch.no_grad()
def _macs(network: nn.Module, image: Tensor) -> dict[nn.Module, float]:
    """Of each convolution and linear layer, for one image (1, C, H, W)."""
    found: dict[nn.Module, float] = {}

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        places = output.numel() / len(weight)
        found[layer] = found.get(layer, 0.0) + weight.numel() * places

    layers = [m for m in network.modules() if isinstance(m, (_ConvNd, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with evaluated(network):
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found
