"""How much a channel matters: what decides which ones of a group go.

"magnitude": the norm of the weights that give and read it (Li et al. 2017, arXiv:1608.08710), of
all layers of the group (Fang et al. 2023, arXiv:2301.12900). "taylor": what the loss would lose
without it, to first order (Molchanov et al. 2019, arXiv:1906.10771). "median": how far its filter
is from the others; near their geometric median it is one that others can stand for (He et al. 2019,
arXiv:1811.00250).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

__all__ = ["CRITERIA", "Criterion", "Importance", "importance_of"]

Criterion = Literal["magnitude", "taylor", "median"]
CRITERIA: tuple[Criterion, ...] = ("magnitude", "taylor", "median")

# A group of Torch-Pruning → (channels,), None to leave the group alone.
Importance: TypeAlias = Callable[[Any], Tensor | None]


def importance_of(criterion: Criterion, effects: Mapping[nn.Module, Tensor]) -> Importance:
    """`effects` are those of gates, see `gate_effects`, for "taylor" alone.

    None is answered where pruning would be wrong: for the group of the logits, and for one in which
    a layer takes part with only some of the root's channels (a concatenation under a residual sum):
    there the number of channels each layer loses would depend on the weights.
    """
    magnitude = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    measures: Mapping[Criterion, Importance] = {
        "magnitude": magnitude,
        "taylor": lambda group: _taylor(group, effects),
        "median": _median,
    }
    chosen = measures[criterion]

    def importance(group: Any) -> Tensor | None:
        if not _free(group):
            return None
        found = chosen(group)
        # Where no layer of the group tells, as in one of bare parameters.
        return magnitude(group) if found is None else found

    return importance


def _free(group: Any) -> bool:
    channels = len(group[0].idxs)
    for item in group:
        if not group._DG.is_out_channel_pruning_fn(item.dep.handler):
            continue
        is_logits = not item.dep.target.outputs
        if is_logits or len(set(item.root_idxs)) != channels:
            return False
    return True


def _taylor(group: Any, effects: Mapping[nn.Module, Tensor]) -> Tensor | None:
    """Gates behind normalisations where there are any, as they see what is handed on."""
    giving = [(layer, item) for layer, item in _giving(group) if layer in effects]
    behind = [pair for pair in giving if isinstance(pair[0], (_BatchNorm, nn.LayerNorm))]
    return _summed(group, ((effects[layer], item) for layer, item in behind or giving))


def _median(group: Any) -> Tensor | None:
    filters = (
        (layer.weight.detach().flatten(1), item)
        for layer, item in _giving(group)
        if isinstance(layer, (_ConvNd, nn.Linear)) and not isinstance(layer, _ConvTransposeNd)
    )
    distances = ((torch.cdist(each[None], each[None])[0].sum(1), item) for each, item in filters)
    return _summed(group, ((each / each.mean().clamp_min(1e-12), i) for each, i in distances))


def _giving(group: Any) -> Iterator[tuple[nn.Module, Any]]:
    """Layers whose outputs are the group's channels."""
    for item in group:
        layer = item.dep.target.module
        gives = group._DG.is_out_channel_pruning_fn(item.dep.handler)
        if gives and isinstance(layer, nn.Module):
            yield layer, item


def _summed(group: Any, scores: Iterator[tuple[Tensor, Any]]) -> Tensor | None:
    """By the root's channels; a layer with several places for each counts all of them."""
    total: Tensor | None = None
    for score, item in scores:
        if max(item.idxs) >= len(score):
            continue  # of a layer whose places are not its outputs, one by one
        found = torch.zeros(len(group[0].idxs), device=score.device)
        found.index_add_(0, torch.tensor(item.root_idxs).to(score.device), score[item.idxs])
        total = found if total is None else total + found
    return total
