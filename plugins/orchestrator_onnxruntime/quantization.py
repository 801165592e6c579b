"""The quantizer of ONNX files: which ways there are to store and compute in fewer bits.

Whether int8 is faster depends on network and runtime, so it is a choice to be measured and not a
gain to be assumed. MobileNetV2 and EfficientNet-Lite0 at 96 px, published weights fine-tuned on
CIFAR-10, 1500 test images; agreement with and time of the float file, in turn, one thread of an x86
with VNNI, ONNX Runtime 1.32:

                       MobileNetV2, 1.5 ms, 8.9 MB         EfficientNet-Lite0, 2.2 ms, 13.5 MB
                       accuracy  agree   time   bytes      accuracy  agree   time   bytes
    none                   80.0  100.0   1.00    1.00          80.9  100.0   1.00    1.00
    int8                   79.5   96.7   0.46    0.29          80.2   97.2   0.48    0.28
      a scale a layer      78.4   93.4   0.45    0.27          74.9   84.4   0.47    0.26
    int8_entropy           79.1   96.5   0.47    0.29          80.3   97.1   0.49    0.28
    int8_percentile        79.3   97.1   0.47    0.29          80.5   97.6   0.48    0.28
    int8_mixed             79.7   98.9   0.51    0.28          80.3   97.5   0.53    0.28
    int8_dynamic           80.0  100.0   0.97    0.99          80.9   99.9   1.03    0.99
    weights8               80.1   98.5   1.00    0.27          80.5   98.2   1.01    0.26
    weights4               65.9   72.7   1.00    0.15          58.1   61.1   1.01    0.14
    powers_of_two          32.2   33.8   0.98    0.15          10.3   11.7   1.01    0.14

A point of accuracy is 15 images. So a search makes "int8" beside the float file and no more by
default; "weights8" is for who searches bytes; the last two need training that knows of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from onnxruntime import quantization

from orchestrator import Artifact, CompressionContext, Quantizer
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_onnxruntime import loader
from orchestrator_onnxruntime.calibration import Method, Ranges, calibrated
from orchestrator_onnxruntime.compact import compact_onnx
from orchestrator_onnxruntime.learned_ranges import with_learned
from orchestrator_onnxruntime.mixed_precision import Allowance, Guard, choose_wide
from orchestrator_onnxruntime.quiet import quiet
from orchestrator_onnxruntime.static_int8 import prepared, write_int8
from orchestrator_onnxruntime.stored_weights import Storage, store_weights

__all__ = ["SCHEMES", "Quantization"]

_CALIBRATED: Mapping[str, Method] = {
    "int8": "minmax",
    "int8_entropy": "entropy",
    "int8_percentile": "percentile",
    "int8_mixed": "minmax",
}
_STORED: Mapping[str, Storage] = {
    "weights8": "int8",
    "weights4": "int4",
    "powers_of_two": "powers",
}
# Ranges that training learnt take the place of those found in images.
_LEARNABLE = ("int8", "int8_mixed")
SCHEMES = ("none", *_CALIBRATED, "int8_dynamic", *_STORED)

# What a matrix product or a convolution is called where it computes with integers.
_PRODUCTS = ("Conv", "Gemm", "MatMul", "Attention")


class Quantization(Quantizer):
    """One file for each scheme of `schemes`, which the search makes and measures, all of them.

    - "int8": weights int8, activations uint8 with a range a tensor, from the extremes that training
      images reach; or from what quantization-aware training learnt, where a step before did that.
    - "int8_entropy", "int8_percentile": ranges that leave out what is rare.
    - "int8_mixed": as int8, but the layers that harm most for their time stay in float: at most
      `wide_share` of the time, found in `evaluations` files; the bundle's ranges tell which. With
      `max_drop`, the most of the leading metric that may be lost, as few as keep to it, found by
      bisection on validation images.
    - "int8_dynamic": ranges of each image anew, of matrix products only (convolutions are several
      times slower so).
    - "weights8", "weights4": only stored in 8 or 4 bits; computed, and as fast, as in float.
    - "powers_of_two": a sign and one of eight powers of two a weight, stored in 4 bits; see there.

    `per_channel`: a scale for each output channel of the weights, or one a layer.
    `calibration_images` are drawn by the context's seed; a preview uses 8. Costs 1 to 5 CPU
    seconds a scheme, "int8_mixed" `evaluations` times a half.
    """

    name = "quantization"
    requires = frozenset({"onnx"})
    known: ClassVar[tuple[str, ...]] = SCHEMES

    def __init__(
        self,
        *,
        schemes: tuple[str, ...] = ("none", "int8"),
        calibration_images: int = 100,
        per_channel: bool = True,
        wide_share: float = 0.25,
        evaluations: int = 16,
        max_drop: float | None = None,
    ) -> None:
        super().__init__(schemes=schemes, calibration_images=calibration_images)
        self.per_channel = per_channel
        self.evaluations = evaluations
        if evaluations < 1:
            raise ConfigError(
                f"compressor.quantization.evaluations: found {evaluations}, expected at least 1"
            )
        if not 0 < wide_share < 1:
            raise ConfigError(
                f"compressor.quantization.wide_share: found {wide_share}, expected some in (0, 1)"
            )
        self.wide_share = wide_share
        if max_drop is not None and not (0 < max_drop < 1 and "int8_mixed" in self.schemes):
            raise ConfigError(
                f"compressor.quantization.max_drop: found {max_drop} with schemes {list(schemes)}, "
                "expected a share in (0, 1) and int8_mixed among the schemes"
            )
        self.max_drop = max_drop

    def foresees(self, choices: Mapping[str, Any]) -> bool:
        """All but which layers stay in float in "int8_mixed"."""
        return bool(choices.get("scheme") != "int8_mixed")

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.<scheme>.onnx` beside `artifact`; raises CompressionError.

        So it does for a file called int8 of which ONNX Runtime computes no layer with integers.
        """
        scheme = str(choices["scheme"])
        target = artifact.path.with_suffix(f".{scheme}.onnx")
        # Beside the target, because a rename must not cross file systems.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantized-") as folder:
            written = Path(folder) / "written.onnx"
            try:
                with quiet():
                    self._write(artifact, written, scheme, context)
                    compact_onnx(written)
            except CompressionError:
                raise
            except Exception as error:
                raise CompressionError(
                    f"{artifact.path.name} cannot be quantized as {scheme}: {error!r}. ONNX "
                    "Runtime's quantization expects an ONNX file with one image input."
                ) from error
            if scheme.startswith("int8"):
                check_integers(written, artifact.path.name, scheme)
            written.replace(target)
        return Artifact(target, artifact.format, label=scheme)

    def _write(
        self, artifact: Artifact, target: Path, scheme: str, context: CompressionContext
    ) -> None:
        """Write `target`; raises whatever ONNX Runtime does."""
        source = artifact.path
        if scheme in _STORED:
            if not store_weights(source, target, _STORED[scheme]):
                raise CompressionError(f"{source.name} has no layer whose weights can be stored.")
        elif scheme == "int8_dynamic":
            _write_dynamic(source, target)
        else:
            model = prepared(source, target.parent)
            images = self.images(context)
            ranges = calibrated(model, images, _CALIBRATED[scheme])
            if scheme in _LEARNABLE and "activations" in context.ranges:
                ranges = self._learned(model, images, ranges, context)
            wide: list[str] = []
            if scheme == "int8_mixed":
                wide = self._wide(model, (images, ranges), artifact, context)
            write_int8(model, target, ranges, per_channel=self.per_channel, wide=wide)

    def _learned(
        self, model: Path, images: np.ndarray, ranges: Ranges, context: CompressionContext
    ) -> Ranges:
        """What training learnt, where it did; how much of it is told to the bundle."""
        if context.network is None:
            raise CompressionError(
                "the ranges that training learnt are by modules of a network; found no network."
            )
        learned = context.ranges["activations"]
        found, count = with_learned(ranges, model, context.network, learned, images)
        context.ranges[f"{self.name}.learned"] = {"written": count, "learned": len(learned)}
        return found

    def _wide(
        self,
        model: Path,
        known: tuple[np.ndarray, Ranges],
        artifact: Artifact,
        context: CompressionContext,
    ) -> list[str]:
        """The nodes that stay in float; told to the bundle. None in a preview of random weights."""
        if context.preview:
            return []

        def write(wide: Any, path: Path) -> None:
            write_int8(model, path, known[1], per_channel=self.per_channel, wide=wide)

        allowed = Allowance(self.evaluations, self.wide_share)
        guard = self._guard(artifact, context)
        found = choose_wide(model, known[0], write, allowed, guard)
        told = asdict(found)
        nodes: list[str] = told.pop("nodes")
        context.ranges[f"{self.name}.wide"] = told
        return nodes

    def _guard(self, artifact: Artifact, context: CompressionContext) -> Guard | None:
        """That no more is lost of what the float file reaches on validation."""
        judge = context.judge
        if self.max_drop is None or judge is None:
            return None

        def reached(path: Path) -> float:
            return judge(Artifact(path, artifact.format, label="int8_mixed"))

        return Guard(reached, judge(artifact) - self.max_drop)


def check_integers(path: Path, source: str, scheme: str) -> None:
    """Raise CompressionError unless ONNX Runtime computes some layer with integers."""
    try:
        kernels = loader.kernels(str(path), {"threads": 1}, rounds=1)
    except Exception as error:
        raise CompressionError(f"{source} as {scheme} does not run: {error}") from error
    products = [k for k in kernels if any(word in k["operator"] for word in _PRODUCTS)]
    if not any(kernel["precision"] == "int8" for kernel in products):
        names = ", ".join(sorted({kernel["operator"] for kernel in products})) or "none at all"
        raise CompressionError(
            f"{source} as {scheme} would be int8 by name only: ONNX Runtime computes none of its "
            f"layers with integers (layers with weights run as: {names})."
        )


def _write_dynamic(source: Path, target: Path) -> None:
    quantization.quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
    )
