"""The reference network as OpenVINO's two files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orchestrator import REFERENCE_IMAGE, reference_weights
from orchestrator_openvino.export import save
from orchestrator_openvino.loader import openvino

__all__ = ["write_reference"]


def write_reference(path: Path) -> None:
    """Write the network to `path` (.xml) unless it is there; the files appear whole or not at all.

    (B, 3, 64, 64) → (B, 10); see `orchestrator.reference_weights`.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(_model(), path)


def _model() -> Any:
    ops = openvino.opset13
    made = reference_weights()
    image = ops.parameter([-1, *REFERENCE_IMAGE], np.float32, name="image")
    flow = image
    for kernel, stride in made.convolutions:
        convolved = ops.convolution(flow, kernel, [stride] * 2, [1, 1], [1, 1], [1, 1])
        flow = ops.relu(convolved)
    pooled = ops.reduce_mean(flow, np.array([2, 3], np.int64), keep_dims=False)
    logits = ops.matmul(pooled, made.classifier, transpose_a=False, transpose_b=False)
    model = openvino.Model([logits], [image], "orchestrator_reference")
    model.inputs[0].set_names({"image"})
    model.outputs[0].set_names({"logits"})
    return model
