"""Zen-score: how strongly the features of a random network react to a little noise.

M. Lin, P. Wang, Z. Sun, H. Chen, X. Sun, Q. Qian, H. Li, R. Jin 2021, "Zen-NAS: A Zero-Shot NAS
for High-Performance Deep Image Recognition", arXiv:2102.01063; code: github.com/idstcv/ZenNAS.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError, ConfigError
from orchestrator_proxies.untrained import untrained

__all__ = ["Zen"]

# What a normalisation divides by, inverted: its position among the operator's outputs.
_NORMS = {"native_batch_norm": 2, "_native_batch_norm_legit": 2, "cudnn_batch_norm": 2}
_NORMS |= {"native_layer_norm": 2, "native_group_norm": 2, "_fused_rms_norm": 1}
_POOLS = frozenset({"mean", "amax", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"})
_LINEAR = frozenset({"addmm", "mm"})
# What works on a map; a pooling before it was not the last step.
_MAP_WORK = frozenset({"mul", "convolution", *_NORMS})


class Zen(Objective):
    """log ‖f(x) − f(x + αε)‖ + Σ log σ, weights and images x, ε from N(0, 1), α = 0.01.

    f gives the features before the last global pooling; where nothing is pooled (a class token)
    those that enter the classifier. σ² is the mean variance a normalisation layer divides by: it
    hides how much the layers before amplify, so it is counted back. The paper does so for batch
    norm; here layer, group, instance and RMS norm count alike. Residual connections stay, unlike
    in the paper, as nothing general can take them out. Needs no data. Cost: `repeats` times twice
    `images` images forward, in double precision where single overflows.
    """

    name = "zen"
    unit = "score"
    direction = "maximize"
    tier = "static"
    summary: ClassVar[str] = "zero-cost proxy: log of the features' reaction to noise (Zen-score)"

    def __init__(self, *, images: int = 8, repeats: int = 2, noise: float = 0.01) -> None:
        for key, found, least in (("images", images, 1), ("repeats", repeats, 1)):
            if found < least:
                raise ConfigError(f"objective.zen.{key}: found {found}, expected at least {least}.")
        if not noise > 0:
            raise ConfigError(f"objective.zen.noise: found {noise}, expected above 0.")
        self.images = images
        self.repeats = repeats
        self.noise = noise

    def measure(self, subject: Subject) -> float:
        """The mean score over `repeats` draws of weights; raises CandidateError if not finite."""
        scores = [self._score(subject, seed) for seed in range(self.repeats)]
        return sum(scores) / len(scores)

    def _score(self, subject: Subject, seed: int) -> float:
        score = math.nan
        with untrained(subject.network, "unit", seed=seed) as network, torch.no_grad():
            # From a generator of their own: the same for every network.
            generator = torch.Generator().manual_seed(seed)
            shape = (2, self.images, *subject.input_shape)
            images, noise = torch.randn(shape, generator=generator)
            both = torch.cat((images, images + self.noise * noise))
            for kind in (torch.float32, torch.float64):
                score = _reaction(network.to(kind), both.to(kind))
                if math.isfinite(score):
                    return score
        raise CandidateError(
            f"zen is {score}, expected a finite number: noise does not reach this network's "
            "features, or they exceed double precision. Use another proxy for it."
        )


def _reaction(network: nn.Module, both: Tensor) -> float:
    """The score from images (2N, C, H, W), the second half noisy; one pass shares statistics."""
    watch = _Watch(len(both))
    with watch:
        output = network(both)
    features = next(f for f in (watch.pooled, watch.classified, output) if f is not None)
    clean, noisy = features.double().flatten(1).chunk(2)
    distance = float((clean - noisy).norm(dim=1).mean())
    return math.log(distance) + watch.log_scale if distance > 0 else -math.inf


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the features and sums log σ while a network runs on `count` images."""

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = count
        self.pooled: Tensor | None = None
        self.classified: Tensor | None = None
        self.log_scale = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        first = output[0] if isinstance(output, tuple) else output
        if name in _NORMS:
            inverse = output[_NORMS[name]].double()
            self.log_scale += 0.5 * math.log(float(inverse.pow(-2).mean()))
        if name in _LINEAR:
            rows = args[-2]
            self.classified = rows if len(rows) == self.count else None
        elif name in _POOLS and self._is_global(args[0], first):
            self.pooled = args[0].clone()
        elif name in _MAP_WORK and _places(first) > 1:
            self.pooled = None
        return output

    def _is_global(self, inputs: Tensor, output: Tensor) -> bool:
        """Whether one figure a channel is left of (N, C, H, W), (N, C, L) or (N, L, C)."""
        if inputs.dim() < 3 or len(inputs) != self.count or len(output) != self.count:
            return False
        left = output.numel() // self.count
        channels = {inputs.shape[1]} | ({inputs.shape[-1]} if inputs.dim() == 3 else set())
        return _places(output) == 1 and left in channels


def _places(tensor: Tensor) -> int:
    """1 where at most one dimension beside the first has several entries."""
    return 1 if sum(side > 1 for side in tensor.shape[1:]) <= 1 else 2
