"""Channel pruning: every layer that may lose channels loses the same share of them.

Which layers must lose channels together is found by tracing (Fang et al. 2023, DepGraph,
arXiv:2301.12900); which channels go is decided by their magnitude (Li et al. 2017,
arXiv:1608.08710). How many go depends on the structure alone, so that an untrained preview has
the shapes of the trained network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from orchestrator import (
    CompressionContext,
    NetworkCompressor,
    Trial,
    channel_graph,
    evaluated,
    tied_layers,
)
from orchestrator.errors import CompressionError, ConfigError

__all__ = ["ChannelPruning"]


class ChannelPruning(NetworkCompressor):
    """Removes channels by group magnitude and trains the rest for a while.

    `ratios` in [0, 1) are what the search chooses from; 0 means no pruning. Channels left are
    rounded down to a multiple of the device's alignment, and a group smaller than that is kept,
    so the share really removed differs from the ratio in narrow layers. `retrain_share` is the
    share of the candidate's epochs that follow, 0 for none. Cost beside that: about 0.2 s.
    """

    name = "pruning"

    def __init__(
        self, *, ratios: tuple[float, ...] = (0.0, 0.25, 0.5), retrain_share: float = 0.3
    ) -> None:
        if not ratios or not all(0 <= ratio < 1 for ratio in ratios):
            raise ConfigError(f"compressor.pruning.ratios: found {ratios}, expected some in [0, 1)")
        if retrain_share < 0:
            raise ConfigError(
                f"compressor.pruning.retrain_share: found {retrain_share}, expected at least 0"
            )
        self.ratios = ratios
        self.retrain_share = retrain_share

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"ratio": share of channels} or {} for none."""
        ratio = trial.suggest_categorical("pruning.ratio", list(self.ratios))
        return {"ratio": ratio} if ratio else {}

    def compress(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> nn.Module:
        """`network` in place, with fewer channels; raises CompressionError if it then fails."""
        ratio = float(choices["ratio"])
        images = _example(network, context)
        before = _parameters(network)
        with evaluated(network):
            _prune(network, images, ratio, context)
            if _parameters(network) == before:
                raise CompressionError(
                    f"pruning.ratio={ratio} removed nothing: no group of channels is free and "
                    f"wider than the device's alignment of {context.device.alignment}."
                )
            _check_forward(network, images)
        if context.retrain is not None and self.retrain_share > 0:
            context.retrain(network, self.retrain_share)
        return network


class _StructuralImportance:
    """Magnitude, with None (leave the group alone) where pruning would be wrong.

    That is the group of the logits, and a group in which one layer takes part with only some of
    the root's channels (a concatenation under a residual sum): there the number of channels each
    layer loses would depend on the weights.
    """

    def __init__(self) -> None:
        self._magnitude = torch_pruning.importance.GroupMagnitudeImportance(p=2)

    def __call__(self, group: Any) -> Tensor | None:
        graph = group._DG
        channels = len(group[0].idxs)
        for item in group:
            if not graph.is_out_channel_pruning_fn(item.dep.handler):
                continue
            is_logits = not item.dep.target.outputs
            if is_logits or len(set(item.root_idxs)) != channels:
                return None
        importance: Tensor | None = self._magnitude(group)
        return importance


def _prune(network: nn.Module, images: Tensor, ratio: float, context: CompressionContext) -> None:
    """One pruning step over all groups, in place."""
    network.requires_grad_(True)  # the tracer follows autograd's graph
    fixed = context.fixed_layers(network)
    try:
        with torch.enable_grad(), _quiet():
            pruner = torch_pruning.pruner.BasePruner(
                network,
                images,
                importance=_StructuralImportance(),
                pruning_ratio=ratio,
                global_pruning=False,
                round_to=context.device.alignment,
                ignored_layers=[*fixed, *_tied(network, images, fixed)],
                forward_fn=_forward,
                # The defaults are dictionaries shared between all pruners of the process.
                in_channel_groups={},
                out_channel_groups={},
                num_heads={},
            )
            pruner.step()
    except Exception as error:
        raise CompressionError(f"pruning could not follow the network: {error!r}") from error


def _tied(network: nn.Module, images: Tensor, fixed: Sequence[nn.Module]) -> list[nn.Module]:
    """Layers whose channels are those of a fixed layer, so that they are too."""
    graph = channel_graph(network, images)
    modules = [module for layer in fixed for module in layer.modules()]
    nodes = [graph.module2node[module] for module in modules if module in graph.module2node]
    return tied_layers(graph, nodes)


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    """Given to the tracer, which else tries network(*images) first: an image without a batch."""
    logits: Tensor = network(images)
    return logits


def _check_forward(network: nn.Module, images: Tensor) -> None:
    """Raise CompressionError, naming the layer, unless the logits exist and are finite."""
    inside: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: inside.append(name)

    def leave(*_: object) -> None:
        inside.pop()

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name or "the network itself")))
        hooks.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad():
            logits = network(images)
    except Exception as error:
        raise CompressionError(
            f"after pruning, {inside[-1]} fails: {error}. Its space should name it, or the layers "
            "that feed it, in fixed_layers."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not bool(torch.isfinite(logits).all()):
        raise CompressionError("after pruning, the logits are not finite.")


def _example(network: nn.Module, context: CompressionContext) -> Tensor:
    """(1, C, H, W): the first calibration image, where the network is."""
    if not len(context.calibration):
        raise CompressionError("pruning needs one calibration image to trace with; found none.")
    first = next(network.parameters())
    return torch.from_numpy(context.calibration[:1].copy()).to(first)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def _quiet() -> Iterator[None]:
    """Bare parameters (layer scale) are found by Torch-Pruning itself; it warns of each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
        yield
