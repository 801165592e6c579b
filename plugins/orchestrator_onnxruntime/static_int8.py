"""Static int8 quantization of an ONNX file with ONNX Runtime (Jacob et al. 2018, arXiv:1712.05877).

The quantized file says so with QuantizeLinear and DequantizeLinear nodes, from which a runtime
makes integer kernels where it has them. Activations are unsigned: with signed ones ONNX Runtime
leaves convolutions in float on x86. Whether int8 is faster depends on network and runtime, so it
is a choice to be measured and not a gain to be assumed.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization

from orchestrator import Artifact, ArtifactCompressor, CompressionContext, Trial
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_onnxruntime.compact import compact_onnx

__all__ = ["StaticQuantization"]

# Ranges do not depend on it; larger batches only need more memory.
_BATCH = 10
# A preview's weights are random, so its ranges need not be good.
_PREVIEW_IMAGES = 8


class StaticQuantization(ArtifactCompressor):
    """Weights int8 per channel, activations uint8 per tensor, ranges from training images.

    `schemes` is what the search chooses from, of "none" and "int8". `calibration_images` are
    drawn by the context's seed; a preview uses 8. Costs 1 to 3 CPU seconds.
    """

    name = "quantization"
    requires = frozenset({"onnx"})
    provides = frozenset({"int8"})

    def __init__(
        self, *, schemes: tuple[str, ...] = ("none", "int8"), calibration_images: int = 100
    ) -> None:
        if not schemes or not set(schemes) <= {"none", "int8"}:
            raise ConfigError(
                f"compressor.quantization.schemes: found {schemes}, expected 'none' and 'int8'"
            )
        if calibration_images < 1:
            raise ConfigError(
                f"compressor.quantization.calibration_images: found {calibration_images}, "
                "expected at least 1"
            )
        self.schemes = schemes
        self.calibration_images = calibration_images

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"scheme": "int8"} or {} for none."""
        scheme = trial.suggest_categorical("quantization.scheme", list(self.schemes))
        return {} if scheme == "none" else {"scheme": scheme}

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.int8.onnx` beside `artifact`; raises CompressionError."""
        preview = context.retrain is None
        count = _PREVIEW_IMAGES if preview else self.calibration_images
        images = _drawn(context.calibration, count, context.seed)
        target = artifact.path.with_suffix(".int8.onnx")
        try:
            _quantize(artifact.path, target, images)
        except Exception as error:
            raise CompressionError(
                f"{artifact.path.name} cannot be quantized: {error!r}. ONNX Runtime's static "
                "quantization expects an ONNX file with one image input."
            ) from error
        return Artifact(target, artifact.format, label="int8")


class _Batches:
    """Calibration images for ONNX Runtime, which asks until it is given None."""

    def __init__(self, name: str, images: np.ndarray, size: int) -> None:
        starts = range(0, len(images), size)
        self._batches = iter([{name: images[start : start + size]} for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, input name → images (B, C, H, W)."""
        return next(self._batches, None)


def _quantize(source: Path, target: Path, images: np.ndarray) -> None:
    """Write `target` whole or not at all."""
    # Beside the target, because a rename must not cross file systems.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".int8-") as folder, _quiet():
        prepared, written = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        # Symbolic shape inference fails on reshapes with an open batch size.
        quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            written,
            _Batches(*_input(prepared, images)),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        compact_onnx(written)
        written.replace(target)


def _input(model: Path, images: np.ndarray) -> tuple[str, np.ndarray, int]:
    """The input's name, the images, and how many may go in at once."""
    graph = onnx.load(model, load_external_data=False).graph
    weights = {initializer.name for initializer in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in weights)
    fixed = image.type.tensor_type.shape.dim[0].dim_value
    return image.name, images, fixed or _BATCH


def _drawn(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` of `images` or all there are: the first ones alone may be of one class."""
    if not len(images):
        raise CompressionError("quantization needs calibration images; found none.")
    order = np.random.default_rng(seed).permutation(len(images))[:count]
    return np.ascontiguousarray(images[np.sort(order)], dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice off the root logger, where it is sent without a name."""
    root, silent = logging.getLogger(), logging.NullHandler()

    def foreign(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in Path(record.pathname).parts

    root.addHandler(silent)  # else its first warning would configure logging for the process
    root.addFilter(foreign)
    try:
        yield
    finally:
        root.removeFilter(foreign)
        root.removeHandler(silent)
