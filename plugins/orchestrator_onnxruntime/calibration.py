"""Ranges of an ONNX file's tensors, found by running images through it.

Min-max takes the extremes. Percentile (99.99 %) leaves out what is rarer, and entropy takes the
range whose histogram in 8 bits tells most of the real one (Migacz 2017, "8-bit inference with
TensorRT", GTC).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

__all__ = ["QUANTIZED", "Method", "Ranges", "calibrated", "image_input"]

Method = Literal["minmax", "entropy", "percentile"]
# Name of a tensor → its smallest and largest value.
Ranges = dict[str, tuple[float, float]]

# What ONNX Runtime's quantizer takes.
QUANTIZED = sorted({*QDQRegistry, *QLinearOpsRegistry})

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
# All that comes out of so many images is held at once.
_BATCH = 10
_OPTIONS = {"percentile": {"percentile": 99.99, "symmetric": False}}


def calibrated(model: Path, images: np.ndarray, method: Method) -> Ranges:
    """The range of every tensor that may be quantized; `images` are float32 (N, C, H, W)."""
    name, batch = image_input(model)
    # Histograms are told of on the standard output.
    with tempfile.TemporaryDirectory(dir=model.parent) as folder, redirect_stdout(io.StringIO()):
        calibrator = create_calibrator(
            model,
            QUANTIZED,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=_METHODS[method],
            extra_options=_OPTIONS.get(method, {}),
        )
        for start in range(0, len(images), batch):
            calibrator.collect_data(_Feeds(iter([{name: images[start : start + batch]}])))
        found = calibrator.compute_data()
    return {tensor: _numbers(data.range_value) for tensor, data in found.items()}


class _Feeds:
    """Images for ONNX Runtime, which asks until it is given None."""

    def __init__(self, feeds: Iterator[dict[str, np.ndarray]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, input name → images (B, C, H, W)."""
        return next(self._feeds, None)


def image_input(model: Path) -> tuple[str, int]:
    """The input's name, and how many images go in at once."""
    graph = onnx.load(model, load_external_data=False).graph
    weights = {initializer.name for initializer in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in weights)
    fixed = image.type.tensor_type.shape.dim[0].dim_value
    return image.name, fixed or _BATCH


def _numbers(pair: tuple[Any, Any]) -> tuple[float, float]:
    low, high = (float(np.asarray(value).reshape(-1)[0]) for value in pair)
    return low, high
