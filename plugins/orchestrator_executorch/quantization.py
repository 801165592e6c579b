"""Int8 for XNNPACK: torch's export quantization before lowering (Jacob et al. 2018, 1712.05877).

A .pte holds graphs that are finished, so the quantizer starts from the network that the file was
compiled of, which its context gives. Observers are put into the exported network, shown
calibration images, and turned into operators on integers, of which XNNPACK has most: convolutions,
linear layers, sums, products, pooling. What it has not (h-swish, sigmoid, attention) stays float
between conversions, and an activation with such neighbours can make int8 the slower file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from orchestrator import (
    Artifact,
    CompressionContext,
    Quantizer,
    exported,
    failure_of,
    quiet_export,
    write_whole,
)
from orchestrator.errors import CompressionError
from orchestrator_executorch.lowering import lowered
from orchestrator_executorch.program import executed

__all__ = ["ProgramQuantization"]

_HEAVY = frozenset({"Conv2d", "DepthwiseConv2d", "FullyConnected", "BatchMatrixMultiply"})


class ProgramQuantization(Quantizer):
    """Weights int8 per channel; activations int8 per tensor, ranges from training images.

    `schemes` is what the search chooses from: "none", "int8", and "int8_dynamic", which computes
    linear layers alone in int8 and finds the ranges of activations as it runs.
    `calibration_images` are drawn by the context's seed; a preview uses 8. Costs 15 to 35 CPU
    seconds, as the network is exported and lowered anew.
    """

    name = "executorch_quantization"
    requires = frozenset({"pte"})
    known: ClassVar[tuple[str, ...]] = ("none", "int8", "int8_dynamic")
    heavy: ClassVar[frozenset[str]] = _HEAVY

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.int8.pte` beside `artifact`; raises CompressionError.

        It is an error if no convolution, linear layer or product of matrices became an integer
        one: such a file would be called int8 and compute in float.
        """
        _refuse(artifact, context)
        label = choices["scheme"]
        images = torch.from_numpy(self.images(context))
        try:
            content = lowered(_quantized(context.network, images, choices["scheme"]))
        except Exception as error:
            text = f"{artifact.path.name} cannot be quantized: {failure_of(error)}"
            raise CompressionError(text) from error
        target = artifact.path.with_suffix(f".{label}.pte")
        write_whole(target, content)
        try:
            self.refuse_float(executed(target), label)
            _refuse_unloadable(target)
        except CompressionError:
            target.unlink()
            raise
        return Artifact(target, artifact.format, label=label)


def _quantized(network: Any, images: torch.Tensor, scheme: str) -> Any:
    """The exported network with integer operators; `images` are (N, C, H, W)."""
    example = images[:1]
    program = exported(network, example)
    with quiet_export(), torch.no_grad():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        config = get_symmetric_quantization_config(
            is_per_channel=True, is_dynamic=scheme == "int8_dynamic"
        )
        quantizer = XNNPACKQuantizer().set_global(config)
        observed = prepare_pt2e(program.module(), quantizer)
        for image in torch.split(images, 1):
            observed(image)
        return torch.export.export(convert_pt2e(observed), (example,))


def _refuse(artifact: Artifact, context: CompressionContext) -> None:
    if context.network is None:
        raise CompressionError(
            f"{artifact.path.name} cannot be quantized without the network that it was compiled "
            "of: a program's layers are finished. Give CompressionContext.network."
        )
    if artifact.label:
        raise CompressionError(
            f"{artifact.path.name} is {artifact.label} already, which quantizing from the network "
            "would lose. Quantize the file that was compiled."
        )


def _refuse_unloadable(target: Path) -> None:
    """XNNPACK looks at the scales of quantized layers only when it loads them."""
    from orchestrator_executorch.loader import load

    try:
        load(str(target), {"threads": 1})
    except ValueError as error:
        text = f"XNNPACK does not take the quantized {target.name}: {error}"
        raise CompressionError(text) from error
