"""Executes LiteRT models (.tflite) on a processor; works alone, with Python 3.8 or later.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads`, of one inference. XNNPACK takes what it can, as it does without being asked.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Dict, Iterator  # noqa: UP035 (Python 3.8)

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def facts(options: Dict[str, Any]) -> Dict[str, str]:  # noqa: UP006
    """LiteRT's version and the threads."""
    return {
        "runtime": f"ai-edge-litert {version('ai-edge-litert')}",
        "providers": "XNNPACK",
        "threads": str(options["threads"]),
    }


def load(path: str, options: Dict[str, Any]) -> LiteRtSession:  # noqa: UP006
    """The file, ready to run; raises ValueError for one that LiteRT does not take."""
    with _native_messages():
        return LiteRtSession(path, int(options["threads"]))


class LiteRtSession:
    """A loaded model with one input of one image.

    A batch is fixed when a network is converted: images go through singly. A model that is int8
    throughout takes and gives whole numbers, which its ranges turn into floats and back.
    """

    def __init__(self, path: str, threads: int) -> None:
        self._interpreter = Interpreter(model_path=path, num_threads=threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self._shape = [int(side) for side in self._input["shape"]]
        if len(self._shape) != 4 or self._shape[0] != 1:
            raise ValueError(f"it takes {self._shape}, expected one image (1, C, H, W)")
        drawn = np.random.default_rng(0).standard_normal(self._shape).astype(np.float32)
        self._fixed = self._given(drawn)

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W)."""
        self._interpreter.set_tensor(self._input["index"], self._fixed)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W), one at a time."""
        if list(images.shape[1:]) != self._shape[1:]:
            raise ValueError(f"it takes {self._shape}")
        # An empty array asks for the shape of an answer.
        asked = images if len(images) else np.zeros(self._shape, np.float32)
        answers = [self._answer(image[None]) for image in asked]
        found: np.ndarray = np.concatenate(answers)[: len(images)]
        return found

    def _answer(self, image: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input["index"], self._given(image))
        self._interpreter.invoke()
        answer: np.ndarray = self._interpreter.get_tensor(self._output["index"])
        scale, zero = self._output["quantization"]
        if answer.dtype != np.float32:
            answer = (answer.astype(np.float32) - zero) * np.float32(scale)
        return answer

    def _given(self, image: np.ndarray) -> np.ndarray:
        """An image (1, C, H, W) in the type that the model takes."""
        kind = self._input["dtype"]
        if kind == np.float32:
            return np.ascontiguousarray(image, dtype=np.float32)
        scale, zero = self._input["quantization"]
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        whole: np.ndarray = np.clip(np.rint(image / scale) + zero, least, most).astype(kind)
        return whole


@contextmanager
def _native_messages() -> Iterator[None]:
    """Keep what C++ writes to standard error off it: that it made XNNPACK's delegate, each time."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
