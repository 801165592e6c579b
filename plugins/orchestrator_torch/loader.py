"""Executes torch.export's programs and AOTInductor's packages; works alone, without the network.

It is copied beside the measuring agent to where files are measured, and loaded here to predict.
Options: `threads` of one inference, and `execution`: "eager" runs a program operator by operator,
"compiled" a package, "cuda" a program on the first CUDA device, as one graph of its kernels.
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, List  # noqa: UP035 (Python 3.8)

import numpy as np
import torch
from torch.export.passes import move_to_device_pass

# What packages call the size of their images in their metadata.
SHAPE = "image"

_BATCH = 64


def facts(options: Dict[str, Any]) -> Dict[str, str]:  # noqa: UP006
    """PyTorch's version, threads and what executes; raises RuntimeError without a CUDA device."""
    told = {
        "runtime": f"torch {torch.__version__}",
        "execution": options["execution"],
        "threads": str(options["threads"]),
    }
    if options["execution"] == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeError(
                f"torch {torch.__version__} finds no CUDA device here. It needs one of NVIDIA's "
                "with its driver, and a build of torch for CUDA"
            )
        return {**told, "cuda": f"{torch.version.cuda}, {torch.cuda.get_device_name(0)}"}
    return {**told, "instructions": torch.backends.cpu.get_cpu_capability()}


def load(path: str, options: Dict[str, Any]) -> TorchSession:  # noqa: UP006
    """The file, ready to run; raises what torch raises for one that it does not take."""
    threads = int(options["threads"])
    if options["execution"] == "compiled":
        package = torch._inductor.aoti_load_package(path)
        # A package does not know what it takes, so it is written into it.
        shape = [int(length) for length in package.get_metadata()[SHAPE].split(",")]
        return TorchSession(package, shape, threads)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
        program = torch.export.load(path)
        shape = input_shape(program)
        if options["execution"] == "cuda":
            return CudaSession(program, shape, threads)
        return TorchSession(program.module(), shape, threads)


def input_shape(program: Any) -> List[int]:  # noqa: UP006
    """(C, H, W) of the images that a program takes; raises ValueError for what takes none."""
    (name,) = program.graph_signature.user_inputs
    (node,) = (node for node in program.graph.nodes if node.name == name)
    shape = list(node.meta["val"].shape)
    if len(shape) != 4 or not all(isinstance(length, int) for length in shape[1:]):
        raise ValueError(f"it takes {shape}, expected images of a fixed size (B, C, H, W)")
    return shape[1:]


class TorchSession:
    """A loaded network of images (B, C, H, W) on the processor, whose batch is open."""

    def __init__(self, network: Any, shape: List[int], threads: int) -> None:  # noqa: UP006
        self._network, self._shape, self._threads = network, shape, threads
        fixed = np.random.default_rng(0).standard_normal([1, *shape]).astype(np.float32)
        self._fixed = torch.from_numpy(fixed)

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W)."""
        return self._answer(self._fixed)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W), 64 at a time."""
        if list(images.shape[1:]) != self._shape:
            raise ValueError(f"it takes images of {self._shape}")
        pieces = []
        # An empty array goes through as one image of zeros, for the shape of its answer.
        given = images if len(images) else np.zeros((1, *self._shape), np.float32)
        for start in range(0, len(given), _BATCH):
            batch = np.ascontiguousarray(given[start : start + _BATCH], dtype=np.float32)
            pieces.append(self._answer(torch.from_numpy(batch)).float().numpy())
        answers: np.ndarray = np.concatenate(pieces)[: len(images)]
        return answers

    def _answer(self, images: Any) -> Any:
        # It is one number for the whole process, which trains networks too.
        before = torch.get_num_threads()
        if before != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                answer = self._network(images)
        finally:
            if before != self._threads:
                torch.set_num_threads(before)
        return _first(answer)


class CudaSession(TorchSession):
    """A program on the first CUDA device; images come from and answers go to the processor."""

    def __init__(self, program: Any, shape: List[int], threads: int) -> None:  # noqa: UP006
        # Else convolutions are computed in TensorFloat-32, of 10 bits, and are another function.
        torch.backends.cudnn.allow_tf32 = False
        super().__init__(move_to_device_pass(program, "cuda").module(), shape, threads)
        self._image = self._fixed.cuda()
        self._captured: Any = None
        self._logits: Any = None

    def run(self) -> object:
        """One inference of a fixed random image (1, C, H, W), its way there and back included."""
        if self._captured is None:
            self._capture()
        self._image.copy_(self._fixed)
        self._captured.replay()
        return self._logits.cpu()

    def _capture(self) -> None:
        """One start for all operators: one by one, starting them takes longer than computing."""
        with torch.inference_mode():
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):  # libraries choose their kernels before anything is captured
                    self._network(self._image)
            torch.cuda.current_stream().wait_stream(aside)
            self._captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._captured):
                self._logits = _first(self._network(self._image))

    def _answer(self, images: Any) -> Any:
        answer: Any = super()._answer(images.cuda())
        return answer.cpu()


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, (list, tuple)) else answer
