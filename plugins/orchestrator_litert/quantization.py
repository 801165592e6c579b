"""Int8 for LiteRT, by its own quantizer on finished models (Jacob et al. 2018, arXiv:1712.05877).

It runs in the converter's environment. LiteRT has integer kernels for nearly all operators, but not
all of them are XNNPACK's: int8 h-swish is not, and cuts a network into many partitions with slow
kernels between, 13 of MobileNetV3, whose int8 file then takes twice the time of the float one
(measured at 32 and 96 px with LiteRT 2.3 on x86). Dynamic int8 paid for EfficientFormer where
static did not (0.209 against 0.279 ms). So it is measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from orchestrator import (
    Artifact,
    CompressionContext,
    Quantizer,
    WorkingFolder,
    write_whole,
)
from orchestrator.errors import CompileError, CompressionError
from orchestrator_litert.environment import Environment
from orchestrator_litert.model import HEAVY, executed

__all__ = ["ModelQuantization"]

_RECIPES = MappingProxyType(
    {
        "int8": "static_wi8_ai8",
        "int8_dynamic": "dynamic_wi8_afp32",
        "weights8": "weight_only_wi8_afp32",
    }
)


class ModelQuantization(Quantizer):
    """Weights int8 per channel, from a float model; the file takes floats or whole numbers.

    `schemes` is what the search chooses from: "none"; "int8", activations too, ranges from training
    images, input and output included; "int8_dynamic", whose activations are float between layers
    and whose ranges are found as it runs; "weights8", weights alone, which are floats again before
    they are multiplied. `calibration_images` are drawn by the context's seed; a preview uses 8.
    Costs 5 to 10 CPU seconds, most of which is the start of a process.
    """

    name = "litert_quantization"
    requires = frozenset({"tflite"})
    known: ClassVar[tuple[str, ...]] = ("none", *_RECIPES)
    heavy: ClassVar[frozenset[str]] = HEAVY

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.<scheme>.tflite` beside `artifact`; raises CompressionError.

        So it does for int8 of which no layer with weights would be computed with integers.
        """
        if artifact.label:
            raise CompressionError(
                f"{artifact.path.name} is {artifact.label} already. Quantize the file that was "
                "compiled."
            )
        scheme = str(choices["scheme"])
        images = self.images(context) if scheme == "int8" else None
        target = artifact.path.with_suffix(f".{scheme}.tflite")
        try:
            content = _quantized(artifact.path, _RECIPES[scheme], images)
        except CompileError as error:
            text = f"{artifact.path.name} cannot be quantized as {scheme}: {error}"
            raise CompressionError(text) from error
        write_whole(target, content)
        if scheme != "weights8":
            try:
                self.refuse_float(executed(target), scheme)
            except CompressionError:
                target.unlink()
                raise
        return Artifact(target, artifact.format, label=scheme)


def _quantized(source: Path, recipe: str, images: np.ndarray | None) -> bytes:
    with WorkingFolder("litert") as folder:
        made, shown = folder / "made.tflite", folder / "images.npy"
        if images is not None:
            np.save(shown, images)
        request = {"op": "quantize", "source": str(source.resolve()), "target": str(made)}
        Environment.usual().ask({**request, "recipe": recipe, "images": str(shown)})
        return made.read_bytes()
