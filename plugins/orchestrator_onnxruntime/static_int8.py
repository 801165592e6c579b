"""Static int8 of an ONNX file with ONNX Runtime (Jacob et al. 2018, arXiv:1712.05877).

The file says so with QuantizeLinear and DequantizeLinear nodes, from which a runtime makes integer
kernels where it has them. Activations are unsigned: with signed ones ONNX Runtime leaves
convolutions in float on x86.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from onnxruntime import quantization
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

from orchestrator_onnxruntime.calibration import QUANTIZED, Ranges

__all__ = ["prepared", "write_int8"]


def prepared(source: Path, folder: Path) -> Path:
    """A copy of `source` in `folder` as ONNX Runtime's quantizer wants it: norms folded."""
    target = folder / "prepared.onnx"
    # Symbolic shape inference fails on reshapes with an open batch size.
    quantization.quant_pre_process(source, target, skip_symbolic_shape=True)
    return target


def write_int8(
    model: Path,
    target: Path,
    ranges: Ranges,
    *,
    per_channel: bool = True,
    wide: Collection[str] = (),
) -> None:
    """Write a `prepared` model with weights int8 and activations uint8 of these `ranges`.

    `wide` names nodes that are left in float.
    """
    quantizer = QDQQuantizer(
        load_model_with_shape_infer(model),
        per_channel,
        False,  # all 8 bits
        quantization.QuantType.QInt8,
        quantization.QuantType.QUInt8,
        _as_told(ranges),
        [],
        list(wide),
        QUANTIZED,
        {},
    )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(target), False)


def _as_told(ranges: Ranges) -> TensorsData:
    told = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, told)
