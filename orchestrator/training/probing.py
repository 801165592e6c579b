"""A linear classifier on a network's features, solved rather than trained.

Multinomial logistic regression with an L2 penalty, by L-BFGS on standardised features, put into
the network's own last layer: what comes out is an ordinary network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from orchestrator.measuring.gate import held
from orchestrator.training.footing import Footing
from orchestrator.training.modes import evaluated
from orchestrator.training.placement import layout_of

__all__ = ["Reading", "classifiers", "read_features", "solve"]

_BATCH = 64
_STEPS = 100
# Features that hardly ever move would be blown up by standardising.
_LEAST_SHARE = 1e-3
_ALIKE = 1e-4

# What ends a network: (B, F, …, 1) → (B, classes, …, 1).
Layer = nn.Linear | nn.Conv2d


@dataclass
class Reading:
    """What classifiers read of some images: a matrix (N, F) each, and the labels (N,)."""

    features: list[Tensor] = field(default_factory=list)
    labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))


@torch.no_grad()
def classifiers(network: nn.Module, images: Tensor) -> list[Layer]:
    """The linear layers whose outputs are a network's answers, one a head; empty if there are none.

    `images` (B, C, H, W), where the network is.
    """
    heads = getattr(network, "heads", None)
    with evaluated(network), _watched(network) as seen:
        answers = heads(images).unbind(1) if callable(heads) else [network(images)]
    found = []
    for answer in answers:
        same = [layer for layer, (_, output) in seen.items() if _equal(output, answer)]
        found += same[-1:]
    return found if len(found) == len(answers) else []


@torch.no_grad()
def read_features(
    network: nn.Module, layers: Sequence[Layer], footing: Footing, indices: np.ndarray
) -> Reading:
    """What `layers` read of training images, without augmentation; the network's mode is kept."""
    feed, layout = footing.feed("train"), layout_of(footing.placement)
    batches = np.array_split(indices, max(1, round(len(indices) / _BATCH)))
    parts: list[list[Tensor]] = [[] for _ in layers]
    labels = []
    with evaluated(network), _watched(network) as seen:
        for take in feed.batches(batches):
            with held(footing.gate):
                pixels, targets = take()
                pixels = pixels.contiguous(memory_format=layout)
                network(footing.facts.normalise(pixels))
            labels.append(targets)
            for part, layer in zip(parts, layers, strict=True):
                part.append(seen[layer][0].flatten(1).float())
    return Reading([torch.cat(part) for part in parts], torch.cat(labels))


def solve(
    layer: Layer, features: Tensor, labels: Tensor, *, penalty: float, weights: Tensor | None = None
) -> None:
    """Put the best classifier of `features` (N, F) into `layer`, in place.

    `penalty` is multiplied into half the squared weights of standardised features, beside the mean
    loss of an image, in which each counts by its weight (N,), all alike without. The same on every
    call.
    """
    counts = torch.ones(len(labels), device=labels.device) if weights is None else weights
    shares = counts / counts.sum()
    mean, spread = features.mean(0), features.std(0)
    spread = spread.clamp_min(_LEAST_SHARE * float(spread.max()) + 1e-12)
    if layer.bias is None:
        mean = torch.zeros_like(mean)
    x = (features - mean) / spread
    weight = torch.zeros(layer.weight.shape[0], x.shape[1], device=x.device, requires_grad=True)
    bias = torch.zeros(len(weight), device=x.device, requires_grad=layer.bias is not None)
    free = [weight, *([bias] if layer.bias is not None else [])]
    optimizer = torch.optim.LBFGS(free, max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        each = cross_entropy(x @ weight.T + bias, labels, reduction="none")
        found = shares @ each + penalty / 2 * weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        scaled = weight / spread
        layer.weight.copy_(scaled.view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(bias - scaled @ mean)


def _equal(output: Tensor, answer: Tensor) -> bool:
    """Whether a layer's output is the answer, but for positions of one entry."""
    if output.numel() != answer.numel() or output.shape[:2] != answer.shape[:2]:
        return False
    return torch.allclose(output.reshape(answer.shape), answer, atol=_ALIKE, rtol=_ALIKE)


@contextmanager
def _watched(network: nn.Module) -> Iterator[dict[Layer, tuple[Tensor, Tensor]]]:
    """What linear layers and pointwise convolutions were last given, and gave."""
    seen: dict[Layer, tuple[Tensor, Tensor]] = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, (nn.Linear, nn.Conv2d))
        if output.shape[2:].numel() == 1:
            seen[layer] = (given[0], output)

    hooks = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
