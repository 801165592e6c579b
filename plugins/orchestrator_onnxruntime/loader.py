"""Executes ONNX files with ONNX Runtime; works alone, with Python 3.8 or later.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads`, of one inference.
"""

from __future__ import annotations

from typing import Any, Dict  # noqa: UP035 (Python 3.8)

import numpy as np
import onnxruntime

PROVIDER = "CPUExecutionProvider"

_BATCH = 64
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def facts(options: Dict[str, Any]) -> Dict[str, str]:  # noqa: UP006
    """ONNX Runtime's version, its provider and the threads; raises RuntimeError without one."""
    offered = onnxruntime.get_available_providers()
    if PROVIDER not in offered:
        raise RuntimeError(
            f"ONNX Runtime offers {offered}, expected {PROVIDER}. Install the ordinary build: "
            "pip install onnxruntime"
        )
    return {
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "providers": PROVIDER,
        "threads": str(options["threads"]),
    }


def load(path: str, options: Dict[str, Any]) -> OnnxSession:  # noqa: UP006
    """The file, ready to run; raises what ONNX Runtime raises for one that it does not take."""
    return OnnxSession(path, int(options["threads"]))


class OnnxSession:
    """A loaded file with one input of images, whose batch is open."""

    def __init__(self, path: str, threads: int) -> None:
        self._session = onnxruntime.InferenceSession(
            path, _session_options(threads), providers=[PROVIDER]
        )
        (self._image,) = self._session.get_inputs()
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._fixed: Any = None

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W); the shape is the file's own."""
        if self._fixed is None:
            self._fixed = {self._image.name: _random_image(self._image)}
        return self._session.run(self._outputs, self._fixed)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W), 64 at a time."""
        pieces = []
        # An empty array goes through the model once, for the shape of its answer.
        for start in range(0, max(1, len(images)), _BATCH):
            batch = np.ascontiguousarray(images[start : start + _BATCH], dtype=np.float32)
            try:
                pieces.append(self._session.run(None, {self._image.name: batch})[0])
            except Exception as error:
                raise ValueError(f"it takes {self._image.shape}: {error}") from error
        answers: np.ndarray = np.concatenate(pieces).astype(np.float32, copy=False)
        return answers


def _session_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Threads that wait by spinning take the processor from whatever else runs here.
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _random_image(image: Any) -> np.ndarray:
    shape = [1, *image.shape[1:]]
    if image.type not in _TYPES or not all(isinstance(length, int) for length in shape):
        raise ValueError(
            f"it takes {image.type} {image.shape}, expected floating-point images of a fixed size "
            "with only the batch open"
        )
    return np.random.default_rng(0).standard_normal(shape).astype(_TYPES[image.type])
