"""Executes OpenVINO files (.xml with the .bin beside it) on a processor; works alone, Python 3.8.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads` of one inference, and `precision`, what OpenVINO may compute floats in: "f32",
"bf16" or "f16". Left to itself it takes the fastest that the processor has, such as bfloat16.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, Dict, List  # noqa: UP035 (Python 3.8)

import numpy as np

# Nobody asked for it: OpenVINO reports its use to Intel from the moment that it is imported, unless
# the package that does so is missing.
if "openvino" not in sys.modules:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino

__all__ = ["DEVICE", "core", "facts", "for_one_image", "load", "openvino", "settings"]

DEVICE = "CPU"

_BATCH = 64
# OpenVINO's name of a precision → of what the processor must be capable.
_CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}


@lru_cache(maxsize=None)  # noqa: UP033 (Python 3.8)
def core() -> Any:
    """OpenVINO itself, one for the process and as long as it.

    Its CPU part gives signals a stack of its own, which goes with it: once two of them have gone in
    the order in which they came, the next signal that Python hears ends the process.
    """
    return openvino.Core()


def facts(options: Dict[str, Any]) -> Dict[str, str]:  # noqa: UP006
    """OpenVINO's version, threads and precision; raises RuntimeError without a processor for it."""
    offered = core().available_devices
    if DEVICE not in offered:
        raise RuntimeError(f"OpenVINO offers {offered}, expected {DEVICE}")
    able = core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if _CAPABILITIES[options["precision"]] not in able:
        raise RuntimeError(
            f"precision is {options['precision']}, of which this processor is not capable "
            f"({', '.join(able)}); leave it at f32"
        )
    return {
        "runtime": f"openvino {openvino.__version__}",
        "threads": str(options["threads"]),
        "precision": options["precision"],
    }


def load(path: str, options: Dict[str, Any]) -> OpenVinoSession:  # noqa: UP006
    """The file, ready to run; raises what OpenVINO raises for one that it does not take."""
    return OpenVinoSession(path, settings(options))


def settings(options: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """What OpenVINO is told: one image at a time, as soon as possible."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": int(options["threads"]),
        "INFERENCE_PRECISION_HINT": options["precision"],
    }


def for_one_image(path: str) -> Any:
    """The file's model with its batch closed at 1: with an open one it is up to 1.7 times slower.

    Raises ValueError unless the one input is of images of a fixed size.
    """
    model = core().read_model(path)
    (image,) = model.inputs
    shape = image.partial_shape
    if len(shape) != 4 or any(length.is_dynamic for length in list(shape)[1:]):
        raise ValueError(f"it takes {shape}, expected images of a fixed size (B, C, H, W)")
    model.reshape([1, *(length.get_length() for length in list(shape)[1:])])
    return model


class OpenVinoSession:
    """A loaded file with one input of images, whose batch is open."""

    def __init__(self, path: str, settings: Dict[str, Any]) -> None:  # noqa: UP006
        self._path, self._settings = path, settings
        self._one = _request(for_one_image(path), settings)
        image = self._one.get_input_tensor()
        # Bound once: OpenVINO's Python takes 0.07 ms to look at what it is given at each call.
        fixed = (
            np.random.default_rng(0).standard_normal(tuple(image.shape)).astype(image.data.dtype)
        )
        self._one.set_input_tensor(openvino.Tensor(fixed))
        self._many: Any = None

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W)."""
        self._one.infer()
        return self._one

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W), 64 at a time."""
        if self._many is None:
            model = core().read_model(self._path)
            self._many = _request(model, self._settings)
        if not len(images):
            return self._answers(np.zeros((1, *images.shape[1:]), np.float32))[:0]
        pieces: List[np.ndarray] = []  # noqa: UP006
        for start in range(0, len(images), _BATCH):
            pieces.append(self._answers(images[start : start + _BATCH]))
        return np.concatenate(pieces)

    def _answers(self, images: np.ndarray) -> np.ndarray:
        expected = self._many.model_inputs[0].partial_shape
        if len(expected) != images.ndim or list(expected)[1:] != list(images.shape[1:]):
            raise ValueError(f"it takes {expected}")
        batch = np.ascontiguousarray(images, dtype=np.float32)
        self._many.infer([batch])
        # A copy: the next inference writes into the same memory.
        return np.array(self._many.get_output_tensor(0).data, dtype=np.float32)


def _request(model: Any, settings: Dict[str, Any]) -> Any:  # noqa: UP006
    return core().compile_model(model, DEVICE, settings).create_infer_request()
