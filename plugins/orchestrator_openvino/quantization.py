"""Quantization of OpenVINO's files with NNCF (Kozlov et al. 2020, arXiv:2002.08679).

An 8-bit file says so with FakeQuantize layers, from which OpenVINO makes integer kernels; it has
them for convolutions, products, pooling, means and concatenations, and keeps what lies between,
h-swish for instance, in the same kernel or in float. Whether that is faster depends on the network:
narrow ones with squeeze-and-excitation gain little or lose. So it is measured, not assumed.

Four random networks of small presets at 64 pixels, one thread of an x86 with VNNI, files of both
runtimes in turn, medians of three sessions (OpenVINO 2026.4, NNCF 3.4, ONNX Runtime 1.32), times
over ONNX Runtime's float file:

    network           ONNX Runtime int8   OpenVINO float   OpenVINO int8
    EfficientFormer                1.15             0.88            0.71
    MobileNetV3, one               1.19             0.87            0.92
    MobileNetV3, two               1.03             0.84            0.95
    ShuffleNetV2                   1.37             1.15            1.04
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from orchestrator import Artifact, CompressionContext, Kernel, Quantizer
from orchestrator.errors import CompressionError
from orchestrator_openvino.export import save
from orchestrator_openvino.kernels import executed, products
from orchestrator_openvino.loader import openvino

__all__ = ["OpenVinoQuantization"]

_SETTINGS = {"threads": 1, "precision": "f32"}


class OpenVinoQuantization(Quantizer):
    """One file for each scheme of `schemes`, which the search makes and measures, all of them.

    - "int8": weights int8 with a scale for each channel, symmetric; activations with one range a
      tensor, asymmetric where they have but one sign (NNCF's preset "mixed"); biases are corrected
      for what rounding adds on average.
    - "weights8": weights only are stored in 8 bits; everything is computed in float, a little
      slower than from a float file (1.06 and 1.08 times on two networks of 0.3 and 0.4 ms).

    `calibration_images` are drawn by the context's seed. Costs 2 to 5 CPU seconds, "weights8" and a
    preview, which uses 4 images and corrects nothing, less than one.
    """

    name = "openvino_quantization"
    requires = frozenset({"openvino"})
    known: ClassVar[tuple[str, ...]] = ("none", "int8", "weights8")
    preview_images: ClassVar[int] = 4

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.<scheme>.xml` and .bin beside `artifact`; raises CompressionError.

        So it does for an int8 file of which OpenVINO computes no layer with integers.
        """
        scheme = str(choices["scheme"])
        target = artifact.path.with_suffix(f".{scheme}.xml")
        images = self.images(context) if scheme == "int8" else np.empty(0)
        try:
            with _quiet():
                model = openvino.Core().read_model(str(artifact.path))
                save(_written(model, scheme, images, context.preview), target)
        except Exception as error:
            raise CompressionError(
                f"{artifact.path.name} cannot be quantized as {scheme}: {error!r}. NNCF expects a "
                "file of OpenVINO's with one input of images."
            ) from error
        made = Artifact(target, artifact.format, scheme, beside=(target.with_suffix(".bin"),))
        if scheme == "int8":
            _refuse_pretended(made)
        return made


def _written(model: Any, scheme: str, images: np.ndarray, preview: bool) -> Any:
    """The model with its weights, and for "int8" its activations, in 8 bits."""
    nncf = _nncf()
    if scheme == "weights8":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return nncf.quantize(
        model,
        nncf.Dataset([image[None] for image in images]),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=preview),
    )


def _refuse_pretended(artifact: Artifact) -> None:
    """Remove the files and raise CompressionError if no layer is computed with integers."""
    try:
        found = products(executed(str(artifact.path), _SETTINGS, rounds=1))
    except Exception as error:
        _remove(artifact.files)
        raise CompressionError(f"{artifact.path.name} does not run: {error}") from error
    if not any(kernel.integer for kernel in found):
        _remove(artifact.files)
        raise CompressionError(
            f"{artifact.path.name} would be int8 by name only: of its layers with weights OpenVINO "
            f"computes none with integers ({_told(found)}). Leave int8 out of "
            f"compressor.{OpenVinoQuantization.name}.schemes for this space."
        )


def _told(kernels: Sequence[Kernel]) -> str:
    return ", ".join(f"{kernel.layer} is {kernel.precision}" for kernel in kernels) or "it has none"


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _nncf() -> Any:
    """NNCF, which on its import makes its own class that of all loggers to come."""
    usual = logging.getLoggerClass()
    try:
        import nncf
    finally:
        logging.setLoggerClass(usual)
    return nncf


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither NNCF's progress bars nor what it logs of its progress."""
    import rich

    _nncf()
    console, logger = rich.get_console(), logging.getLogger("nncf")
    before = console.quiet, logger.level
    console.quiet = True
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        console.quiet, level = before
        logger.setLevel(level)
