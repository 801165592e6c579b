"""Executes ExecuTorch programs (.pte); works alone, with Python 3.8 or later.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads`, of one inference. They belong to the process: XNNPACK has one pool.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from typing import Any, Dict, Iterator, List  # noqa: UP035 (Python 3.8)

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its runtime calls itself experimental at each import
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime, Verification

BACKEND = "XnnpackBackend"


def facts(options: Dict[str, Any]) -> Dict[str, str]:  # noqa: UP006
    """ExecuTorch's version, its backend and the threads; raises RuntimeError without XNNPACK."""
    with _native_messages():
        offered = Runtime.get().backend_registry.registered_backend_names
    if BACKEND not in offered:
        raise RuntimeError(
            f"ExecuTorch offers {offered}, expected {BACKEND}. Install the ordinary build: "
            "pip install executorch"
        )
    return {
        "runtime": f"executorch {version('executorch')}",
        "providers": BACKEND,
        "threads": str(options["threads"]),
    }


def load(path: str, options: Dict[str, Any]) -> PteSession:  # noqa: UP006
    """The file, ready to run; raises ValueError with what C++ says first of a bad one."""
    with _native_messages() as told:
        try:
            portable_lib._unsafe_reset_threadpool(int(options["threads"]))
            return PteSession(path)
        except Exception as error:
            raise ValueError(f"{error} ({_first_failure(told())})") from error


class PteSession:
    """A loaded program: one method "forward" with one input of images, whose batch is one.

    A batch is fixed when a program is lowered, and an open one is not had for every network: with
    ExecuTorch 1.5 attention of EfficientFormer fails to resize. So images go through singly.
    """

    def __init__(self, path: str) -> None:
        # Its methods use the program's memory.
        self._program = Runtime.get().load_program(path, verification=Verification.Minimal)
        self._forward = self._program.load_method("forward")
        self._shape = list(self._forward.metadata.input_tensor_meta(0).sizes())
        if len(self._shape) != 4 or self._shape[0] != 1:
            raise ValueError(f"it takes {self._shape}, expected one image (1, C, H, W)")
        drawn = np.random.default_rng(0).standard_normal(self._shape)
        self._fixed = [torch.from_numpy(drawn.astype(np.float32))]

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W)."""
        return self._forward.execute(self._fixed)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W), one at a time."""
        if list(images.shape[1:]) != self._shape[1:]:
            raise ValueError(f"it takes {self._shape}")
        given = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
        # An empty array asks for the shape of an answer.
        singly = torch.split(given, 1) if len(given) else [torch.zeros(self._shape)]
        answers = [self._forward.execute([image])[0].numpy() for image in singly]
        found: np.ndarray = np.concatenate(answers)[: len(given)].astype(np.float32, copy=False)
        return found


def _first_failure(lines: List[str]) -> str:  # noqa: UP006
    """What is told of the machine's processor and of threads comes before."""
    failures = [line for line in lines if "cpuinfo" not in line and "threadpool" not in line]
    return failures[0] if failures else "it gave no reason"


@contextmanager
def _native_messages() -> Iterator[Any]:
    """Keep what C++ writes to standard error off it; what is yielded gives the lines so far.

    ExecuTorch writes some of it to the file and some to Python's object.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile("a+") as messages, redirect_stderr(messages):

        def told() -> List[str]:  # noqa: UP006
            messages.seek(0)
            return messages.read().splitlines()

        os.dup2(messages.fileno(), 2)
        try:
            yield told
        finally:
            os.dup2(kept, 2)
            os.close(kept)
