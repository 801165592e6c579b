"""PyTorch as a runtime: programs run as they come, compiled ahead of time, or on a CUDA device.

None of them is for speed on a processor: on MobileNetV3 and EfficientFormer at 64 pixels (torch
2.13, one thread) a package takes 0.3 times as long as a program, and ONNX Runtime and OpenVINO
about half as long as that. They are for who ships PyTorch, and what others are compared with.
Torch's 8-bit processor kernels were no faster than its compiled floats where it was measured, so
there is no quantizer.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator import (
    REFERENCE_IMAGE,
    Artifact,
    Device,
    Kernel,
    Runtime,
    Usage,
    reference_network,
)
from orchestrator.errors import CompileError, DeviceError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Compiled", "Cuda", "Eager"]

# In the order in which torch looks for one.
_COMPILERS = ("g++", "clang++", "c++")


class Eager(Runtime):
    """A .pt2 of torch.export: the network's operators, run one by one with `threads` threads."""

    name = "torch"
    execution: ClassVar[str] = "eager"
    form: ClassVar[str] = "pt2"
    formats: ClassVar[frozenset[str]] = frozenset({form})
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    # Torch unpickles parts of it, and calls any function of its own that the graph names.
    programs: ClassVar[bool] = True
    costly: ClassVar[str] = "an export takes seconds, and other runtimes are faster"
    loader: ClassVar[Path] = Path(__file__).with_name("loader.py")

    @property
    def options(self) -> Mapping[str, Any]:
        """The number of threads, and how files are executed."""
        return {"threads": self.threads, "execution": self.execution}

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.pt2, weights inside, batch open.

        Raises CompileError if torch does not take the network.
        """
        target = path if path.suffix == ".pt2" else path.with_name(f"{path.name}.pt2")
        self._write(network, example, target)
        return Artifact(target, self.form, exact=True)

    def compiles_like(self, other: Device) -> bool:
        """Whatever runs the same programs."""
        return isinstance(other, Eager) and other.form == self.form

    def reference(self, folder: Path) -> Artifact:
        """A fixed convolutional network, written to `folder`/reference-….pt2 if it is not there."""
        path = folder / f"reference-{self.form}.pt2"
        if not path.exists():
            import torch

            self._write(reference_network(), torch.zeros(1, *REFERENCE_IMAGE), path)
        return Artifact(path, self.form, exact=True)

    def signature(self, artifact: Artifact) -> str:
        """The operators, arguments and shapes, without the values of weights."""
        from orchestrator_torch.programs import signature

        return signature(artifact.path)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """The program's operators, without shares of the time."""
        from orchestrator_torch.programs import executed

        try:
            return executed(artifact.path)
        except Exception as error:
            text = f"{self.name} does not load {artifact.path.name}: {error}"
            raise CompileError(text) from error

    def usage(self, artifact: Artifact) -> Usage:
        """The program as a function of tensors."""
        return self._usage(f'network = torch.export.load("{artifact.path.name}").module()\n')

    def _usage(self, loading: str) -> Usage:
        lines = (
            "import torch\n"
            f"torch.set_num_threads({self.threads})\n"
            f"{loading}"
            "with torch.inference_mode():\n"
            "    logits = network(torch.from_numpy(images)).numpy()"
        )
        return Usage(("torch",), lines)

    def _write(self, network: nn.Module, example: Tensor, path: Path) -> None:
        from orchestrator_torch.export import export

        export(network, example, path)


class Compiled(Eager):
    """A .pt2 of AOTInductor: machine code for this processor, of 15 to 30 CPU seconds a network."""

    name = "torch_compiled"
    execution: ClassVar[str] = "compiled"
    costly: ClassVar[str] = "compiling takes half a minute a network"
    form: ClassVar[str] = "aoti"
    formats: ClassVar[frozenset[str]] = frozenset({form})

    def check(self) -> None:
        """Raise DeviceError without a C++ compiler too."""
        if not any(shutil.which(name) for name in _COMPILERS):
            raise DeviceError(
                f"device={self.name} needs a C++ compiler, and finds none of "
                f"{', '.join(_COMPILERS)}: apt install g++, or take device=torch."
            )
        super().check()

    def signature(self, artifact: Artifact) -> str:
        """The file's content: weights are part of its code."""
        return Device.signature(self, artifact)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """None: a package does not tell what was made of the operators."""
        return ()

    def usage(self, artifact: Artifact) -> Usage:
        """The package as a function of tensors, on a processor with the same instructions."""
        name = artifact.path.name
        return self._usage(f'network = torch._inductor.aoti_load_package("{name}")\n')

    def _write(self, network: nn.Module, example: Tensor, path: Path) -> None:
        from orchestrator_torch.export import package

        package(network, example, path)


class Cuda(Eager):
    """A .pt2 of torch.export on the first CUDA device, in float32, started as one graph."""

    name = "cuda"
    execution: ClassVar[str] = "cuda"
    costly: ClassVar[str] = ""

    def usage(self, artifact: Artifact) -> Usage:
        """The program on the device, its operators started at once for batches of one size."""
        lines = (
            "import torch\n"
            "from torch.export.passes import move_to_device_pass\n"
            "torch.backends.cudnn.allow_tf32 = False\n"
            f'program = torch.export.load("{artifact.path.name}")\n'
            'network = move_to_device_pass(program, "cuda").module()\n'
            "batch = torch.from_numpy(images).cuda()\n"
            "with torch.inference_mode():\n"
            "    aside = torch.cuda.Stream()\n"
            "    aside.wait_stream(torch.cuda.current_stream())\n"
            "    with torch.cuda.stream(aside):\n"
            "        network(batch)  # warm before it is captured\n"
            "    torch.cuda.current_stream().wait_stream(aside)\n"
            "    captured = torch.cuda.CUDAGraph()\n"
            "    with torch.cuda.graph(captured):\n"
            "        answer = network(batch)\n"
            "captured.replay()  # again after each batch.copy_(…)\n"
            "logits = answer.cpu().numpy()"
        )
        return Usage(("torch",), lines)
