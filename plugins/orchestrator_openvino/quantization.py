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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from orchestrator import Artifact, CompressionContext, Kernel, Quantizer, WorkingFolder
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_openvino.export import save
from orchestrator_openvino.kernels import executed, products
from orchestrator_openvino.loader import core, load
from orchestrator_openvino.mixed_precision import Trial, choose_wide

__all__ = ["OpenVinoQuantization"]

_SETTINGS = {"threads": 1, "precision": "f32"}


class OpenVinoQuantization(Quantizer):
    """One file for each scheme of `schemes`, which the search makes and measures, all of them.

    - "int8": weights int8 with a scale for each channel, symmetric; activations with one range a
      tensor, asymmetric where they have but one sign (NNCF's preset "mixed"); biases are corrected
      for what rounding adds on average.
    - "int8_mixed": as int8, with as few layers in float as keep to `max_drop`, the most of the
      leading metric that may be lost against the float file on validation (see `mixed_precision`);
      the bundle's ranges tell which. Costs a quick file for each of up to 10 blocks of layers and a
      few proper ones, each judged; a preview is one of int8.
    - "weights8": weights only are stored in 8 bits; everything is computed in float, a little
      slower than from a float file (1.06 and 1.08 times on two networks of 0.3 and 0.4 ms).

    `calibration_images` are drawn by the context's seed. Costs 2 to 5 CPU seconds, "weights8" and a
    preview, which uses 4 images and corrects nothing, less than one.
    """

    name = "openvino_quantization"
    requires = frozenset({"openvino"})
    known: ClassVar[tuple[str, ...]] = ("none", "int8", "int8_mixed", "weights8")
    preview_images: ClassVar[int] = 4

    def __init__(
        self,
        *,
        schemes: tuple[str, ...] = ("none", "int8"),
        calibration_images: int = 100,
        max_drop: float | None = None,
    ) -> None:
        super().__init__(schemes=schemes, calibration_images=calibration_images)
        mixed = "int8_mixed" in self.schemes
        if mixed != (max_drop is not None) or not (max_drop is None or 0 < max_drop < 1):
            raise ConfigError(
                f"compressor.{self.name}.max_drop: found {max_drop} with schemes {list(schemes)}, "
                "expected a share in (0, 1) with int8_mixed among the schemes, and else none"
            )
        self.max_drop = max_drop

    def foresees(self, choices: Mapping[str, Any]) -> bool:
        """All but which layers stay in float in "int8_mixed"."""
        return bool(choices.get("scheme") != "int8_mixed")

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.<scheme>.xml` and .bin beside `artifact`; raises CompressionError.

        So it does for an int8 file of which OpenVINO computes no layer with integers.
        """
        scheme = str(choices["scheme"])
        target = artifact.path.with_suffix(f".{scheme}.xml")
        try:
            with _quiet():
                save(self._written(artifact, scheme, context), target)
        except CompressionError:
            raise
        except Exception as error:
            raise CompressionError(
                f"{artifact.path.name} cannot be quantized as {scheme}: {error!r}. NNCF expects a "
                "file of OpenVINO's with one input of images."
            ) from error
        made = _artifact(target, artifact.format, scheme)
        if scheme != "weights8":
            _refuse_pretended(made)
        return made

    def _written(self, artifact: Artifact, scheme: str, context: CompressionContext) -> Any:
        """The model with its weights, and for "int8" and "int8_mixed" its activations, in 8 bits.

        Raises CompressionError, and whatever OpenVINO and NNCF do.
        """
        if scheme == "weights8":
            nncf, model = _nncf(), core().read_model(str(artifact.path))
            return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        images = self.images(context)
        wide: Sequence[str] = ()
        if scheme == "int8_mixed" and not context.preview:
            wide = self._wide(artifact, images, context)
            context.ranges[f"{self.name}.wide"] = list(wide)
            context.report[f"{self.name}.layers_in_float"] = len(wide)
        return _int8(artifact.path, images, wide, quick=context.preview)

    def _wide(
        self, artifact: Artifact, images: np.ndarray, context: CompressionContext
    ) -> list[str]:
        """The layers that stay in float; none where nothing can be judged."""
        judge = context.judge
        if judge is None or self.max_drop is None:
            return []
        with WorkingFolder("openvino") as folder:
            tried = folder / "tried.xml"

            def answers(wide: Collection[str] | None) -> np.ndarray:
                if wide is None:
                    return load(str(artifact.path), _SETTINGS).predict(images)
                save(_int8(artifact.path, images[: self.preview_images], wide, quick=True), tried)
                return load(str(tried), _SETTINGS).predict(images)

            def reached(wide: Collection[str]) -> float:
                save(_int8(artifact.path, images, wide), tried)
                return judge(_artifact(tried, artifact.format, "int8_mixed"))

            model = core().read_model(str(artifact.path))
            least = judge(artifact) - self.max_drop
            return choose_wide(model, Trial(answers, reached, least))


def _artifact(path: Path, format: str, label: str) -> Artifact:
    return Artifact(path, format, label, beside=(path.with_suffix(".bin"),))


def _int8(source: Path, images: np.ndarray, wide: Collection[str], *, quick: bool = False) -> Any:
    """A file's model with weights and activations in 8 bits, but for layers that stay `wide`.

    `quick` leaves out what biases would be corrected by.
    """
    nncf = _nncf()
    return nncf.quantize(
        core().read_model(str(source)),
        nncf.Dataset([image[None] for image in images]),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=list(wide)) if wide else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=quick),
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
