"""Single weights become 0, which makes nothing smaller or faster by itself.

Zeros are stored and multiplied like all numbers: a file shrinks where it is packed, and is faster
only where a runtime has sparse kernels for it. Both are told, and no figure pretends otherwise.
By magnitude, layer by layer (Zhu and Gupta 2017, arXiv:1710.01878), or the smallest of every few
that follow one another, N:M (Mishra et al. 2021, arXiv:2104.08378).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from orchestrator import CompressionContext, Trial, is_depthwise
from orchestrator.errors import ConfigError, plural
from orchestrator_pruning.pruning import FineTuning, Pruning

__all__ = ["WeightPruning"]

# Images have no more channels; what reads them is small, and matters.
_IMAGE_CHANNELS = 4
NOTE = "no smaller or faster by itself: only packed, or by a runtime with sparse kernels"


class WeightPruning(Pruning):
    """Sets a share of the weights of every dense layer to 0 and keeps them there in training.

    `pattern` "N:M" keeps N of every M weights that follow one another along a layer's inputs, such
    as "2:4"; layers of another number of inputs keep all. Without it any weight may go, the
    smallest first. Depthwise layers and the one that reads the image keep theirs. Other options are
    those of `ChannelPruning`.
    """

    name = "weight_pruning"
    changes = frozenset({"values"})

    def __init__(
        self,
        *,
        ratios: tuple[float, ...] = (0.0, 0.5, 0.8),
        pattern: str | None = None,
        max_drop: float | None = None,
        retrain_share: float = 0.3,
        steps: int = 1,
        teacher_share: float = 0.5,
    ) -> None:
        super().__init__(ratios, max_drop, FineTuning(retrain_share, steps, teacher_share))
        self.pattern = pattern
        if pattern is not None and (max_drop is not None or steps > 1):
            raise ConfigError(
                f"compressor.weight_pruning.pattern: {pattern} is one strength, found max_drop or "
                "steps beside it. Leave them out."
            )
        if pattern is not None:
            _parts(pattern)

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"ratio": share of weights}, or {"pattern": "2:4"}, or {} for none."""
        if self.pattern is None:
            return super().suggest(trial)
        pattern = trial.suggest_categorical("weight_pruning.pattern", ["none", self.pattern])
        return {} if pattern == "none" else {"pattern": pattern}

    def compress(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> nn.Module:
        """`network` with zeros, trained on; raises CompressionError where no layer takes them."""
        whole = None if context.preview else _packed_bytes(network)
        if "pattern" in choices:
            kept, of = _parts(str(choices["pattern"]))
            choices = {**choices, "ratio": 1 - kept / of}
        network = super().compress(network, choices, context)
        _unmask(network)
        if whole is not None:
            self._tell(context, "packed_share", _packed_bytes(network) / whole)
            self._tell(context, "note", NOTE)
        return network

    def remover(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> _WeightRemover:
        """Layers keep their zeros until training is done."""
        return _WeightRemover(network, choices.get("pattern"))


class _Mask:
    """Before each forward pass: what training gave to weights that are out is taken again."""

    def __init__(self, kept: Tensor) -> None:
        self.kept = kept

    def __call__(self, layer: nn.Module, *_: object) -> None:
        weight = layer.get_parameter("weight")
        self.kept = self.kept.to(weight.device)
        weight.data.mul_(self.kept)


class _WeightRemover:
    def __init__(self, network: nn.Module, pattern: str | None) -> None:
        self.network = network
        self.pattern = pattern
        self.layers = list(_dense(network))
        self.masks: dict[nn.Module, _Mask] = {}

    @property
    def achieved(self) -> float:
        """Of the weights of all dense layers."""
        gone = sum(int((~mask.kept).sum()) for mask in self.masks.values())
        return gone / max(1, sum(layer.get_parameter("weight").numel() for layer in self.layers))

    @property
    def obstacle(self) -> str:
        """What keeps every weight."""
        layers = plural(len(self.layers), "dense layer")
        return (
            f"of {layers} none has as many inputs as a multiple of the pattern's length "
            f"({self.pattern})"
            if self.pattern
            else f"it looks at {layers}"
        )

    def __call__(self, ratio: float) -> nn.Module:
        """Until that share of each layer is 0."""
        for layer in self.layers:
            weight = layer.get_parameter("weight").detach()
            kept = _smallest(weight, ratio) if self.pattern is None else _few(weight, self.pattern)
            if kept is not None:
                if layer not in self.masks:
                    self.masks[layer] = _Mask(kept)
                    layer.register_forward_pre_hook(self.masks[layer])
                self.masks[layer].kept = kept
                self.masks[layer](layer)
        return self.network


def _unmask(network: nn.Module) -> None:
    for layer in network.modules():
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, _Mask):
                hook(layer)
                del layer._forward_pre_hooks[key]


def _dense(network: nn.Module) -> Iterator[nn.Module]:
    """Layers whose weights may go."""
    for layer in network.modules():
        if isinstance(layer, _ConvNd):
            reads_images = layer.in_channels <= _IMAGE_CHANNELS
            if not (is_depthwise(layer) or reads_images or isinstance(layer, _ConvTransposeNd)):
                yield layer
        elif isinstance(layer, nn.Linear):
            yield layer


def _smallest(weight: Tensor, ratio: float) -> Tensor:
    """True for those that stay; what is 0 already goes first."""
    kept = torch.ones(weight.numel(), dtype=torch.bool, device=weight.device)
    order = torch.argsort(weight.abs().flatten(), stable=True)
    kept[order[: int(ratio * weight.numel())]] = False
    return kept.view_as(weight)


def _few(weight: Tensor, pattern: str) -> Tensor | None:
    """True for the N largest of every M inputs; None where M does not divide the inputs."""
    count, of = _parts(pattern)
    if weight.shape[1] % of:
        return None
    inputs_last = weight.abs().movedim(1, -1)  # (out, …, in)
    every = inputs_last.reshape(-1, of)
    kept = torch.zeros_like(every, dtype=torch.bool)
    kept.scatter_(1, every.topk(count, dim=1).indices, True)
    return kept.view(inputs_last.shape).movedim(-1, 1).contiguous()


def _parts(pattern: str) -> tuple[int, int]:
    """N and M of "N:M"; raises ConfigError."""
    kept, colon, of = pattern.partition(":")
    if not (colon and kept.isdecimal() and of.isdecimal() and 0 < int(kept) < int(of)):
        raise ConfigError(
            f"compressor.weight_pruning.pattern: found {pattern!r}, expected N:M with 0 < N < M, "
            "such as '2:4'"
        )
    return int(kept), int(of)


def _packed_bytes(network: nn.Module) -> int:
    """Of all parameters, by zlib, as gzip would have them."""
    arrays = (p.detach().to("cpu").contiguous().numpy() for p in network.parameters())
    return sum(len(zlib.compress(array.tobytes(), 1)) for array in arrays)
