"""Executes ONNX files with ONNX Runtime; works alone, with Python 3.8 or later.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads`, of one inference.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import Any, Dict, List  # noqa: UP035 (Python 3.8)

import numpy as np
import onnxruntime

PROVIDER = "CPUExecutionProvider"

_BATCH = 64
_ROUNDS, _WARMUPS = 10, 2
# Between integers and real numbers: they compute with real ones.
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
# They get real numbers, turn them into integers themselves and compute with those.
_DYNAMIC = ("DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention")
_PRECISIONS = {"float": "float32", "double": "float64", "uint8": "int8", "int64": "shape"}
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


def kernels(
    path: str,
    options: Dict[str, Any],  # noqa: UP006
    rounds: int = _ROUNDS,
) -> List[Dict[str, Any]]:  # noqa: UP006
    """What is executed for one image, in order, after ONNX Runtime's own changes of the graph.

    Each has `name` (of the node or, where nodes were fused, of what comes out), `operator`,
    `precision` (of what it is given: bytes are "int8", whole numbers of 64 bits "shape"), `shape`
    (of what comes out) and `microseconds` (the mean of the faster half of `rounds`).
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = _session_options(int(options["threads"]))
        asked.enable_profiling = True
        asked.profile_file_prefix = os.path.join(folder, "run")
        session = onnxruntime.InferenceSession(path, asked, providers=[PROVIDER])
        (image,) = session.get_inputs()
        feed = {image.name: _random_image(image)}
        for _ in range(_WARMUPS + rounds):
            session.run(None, feed)
        with open(session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
    found: Dict[str, Dict[str, Any]] = {}  # noqa: UP006
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            known = found.setdefault(event["args"]["node_index"], _kernel(event))
            known["microseconds"].append(event["dur"])
    for kernel in found.values():
        taken = sorted(kernel["microseconds"][_WARMUPS:])
        kernel["microseconds"] = float(np.mean(taken[: (len(taken) + 1) // 2]))
    return list(found.values())


def _kernel(event: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    name = re.sub(r"_kernel_time$", "", event["name"])
    given = [kind for value in event["args"]["input_type_shape"] for kind in value]
    made = [shape for value in event["args"]["output_type_shape"] for shape in value.values()]
    operator = event["args"]["op_name"]
    precision = _PRECISIONS.get(given[0], given[0]) if given else "shape"
    if operator in _CONVERSIONS:
        precision = "float32"
    elif operator in _DYNAMIC:
        precision = "int8"
    return {
        # Suffixes are of blocked layouts, and of nodes that were written more than once.
        "name": re.sub(r"(_nchwc|_nhwc|_token_[0-9]+)+$", "", name),
        "operator": operator,
        "precision": precision,
        "shape": made[0] if made else [],
        "microseconds": [],
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
