"""The network that others' latency is compared with: fixed for ever, 48 M multiply-adds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator_openvino.export import save
from orchestrator_openvino.loader import openvino

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
    """Write the network to `path` (.xml) unless it is there; the files appear whole or not at all.

    (B, 3, 64, 64) → (B, 10), weights of a fixed seed. Changing it makes all latencies of earlier
    runs incomparable.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(_model(), path)


def _model() -> Any:
    ops = openvino.opset13
    random = np.random.default_rng(20_240_101)
    image = ops.parameter([-1, *_IMAGE], np.float32, name="image")
    flow = image
    for inputs, outputs, stride in _CONVOLUTIONS:
        kernel = _normal(random, (outputs, inputs, 3, 3), inputs * 9)
        convolved = ops.convolution(flow, kernel, [stride] * 2, [1, 1], [1, 1], [1, 1])
        flow = ops.relu(convolved)
    pooled = ops.reduce_mean(flow, np.array([2, 3], np.int64), keep_dims=False)
    features = _CONVOLUTIONS[-1][1]
    classifier = _normal(random, (features, _CLASSES), features)
    logits = ops.matmul(pooled, classifier, transpose_a=False, transpose_b=False)
    model = openvino.Model([logits], [image], "orchestrator_reference")
    model.inputs[0].set_names({"image"})
    model.outputs[0].set_names({"logits"})
    return model


def _normal(random: np.random.Generator, shape: tuple[int, ...], inputs: int) -> np.ndarray:
    return (random.standard_normal(shape) * math.sqrt(2 / inputs)).astype(np.float32)
