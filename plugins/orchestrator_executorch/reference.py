"""The network that others' latency is compared with: fixed for ever, 48 M multiply-adds."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from orchestrator_executorch.lowering import exported, lowered

__all__ = ["write_reference"]

_IMAGE = (3, 64, 64)
_CLASSES = 10
# (inputs, outputs, stride) of 3×3 convolutions, each with a ReLU.
_CONVOLUTIONS = (
    (3, 32, 2),
    (32, 64, 2),
    *[(64, 64, 1)] * 3,
    (64, 128, 2),
    (128, 128, 1),
)


def write_reference(path: Path) -> None:
    """Write the network to `path` unless it is there; the file appears whole or not at all.

    (1, 3, 64, 64) → (1, 10), the convolutions of the other runtimes' reference networks. Changing
    it makes all latencies of earlier runs incomparable. Costs 5 CPU seconds.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = lowered(exported(_network(), torch.zeros(1, *_IMAGE)))
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".reference-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, stride in _CONVOLUTIONS:
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_CONVOLUTIONS[-1][1], _CLASSES)]
    network = nn.Sequential(*layers)
    random = np.random.default_rng(20_240_101)
    for parameter in network.parameters():
        values = np.zeros(parameter.shape)
        if parameter.ndim > 1:
            values = random.standard_normal(parameter.shape) * math.sqrt(2 / parameter[0].numel())
        parameter.data = torch.from_numpy(values.astype(np.float32))
    return network
