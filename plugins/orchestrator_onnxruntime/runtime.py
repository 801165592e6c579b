"""ONNX files, executed by ONNX Runtime on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from orchestrator import Artifact, Device, Kernel, NativeBenchmark, Runtime, Usage
from orchestrator.errors import CompileError
from orchestrator_onnxruntime.perf_test import PERF_TEST

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OnnxRuntime"]


class OnnxRuntime(Runtime):
    """ONNX files, executed on the processor with `threads` threads.

    What the search measures is written as what ships is: `exporter` "auto" is TorchScript for both
    (see `orchestrator_onnxruntime.export` for why), "dynamo" or "torchscript" says which. An
    exporter that fails is an error, never replaced by the other, so that a file's origin is known.
    """

    name = "onnxruntime"
    formats: ClassVar[frozenset[str]] = frozenset({"onnx"})
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnxscript")
    quantizers: ClassVar[tuple[str, ...]] = ("quantization",)
    mlflow_flavour: ClassVar[str] = "onnx"
    loader: ClassVar[Path] = Path(__file__).with_name("loader.py")
    native: ClassVar[NativeBenchmark] = PERF_TEST

    def __init__(
        self,
        *,
        threads: int = 1,
        exporter: Literal["auto", "dynamo", "torchscript"] = "auto",
    ) -> None:
        super().__init__(threads=threads)
        self.exporter = exporter

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.onnx, weights inside, input "image", output "logits", batch open.

        Raises CompileError if the exporter does not take the network.
        """
        from orchestrator_onnxruntime.export import export

        target = path if path.suffix == ".onnx" else path.with_name(f"{path.name}.onnx")
        export(network, example, target, "dynamo" if self.exporter == "dynamo" else "torchscript")
        return Artifact(target, "onnx", exact=True)

    def compiles_like(self, other: Device) -> bool:
        """Whatever the threads."""
        return isinstance(other, OnnxRuntime) and other.exporter == self.exporter

    def reference(self, folder: Path) -> Artifact:
        """A fixed convolutional network, written to `folder`/reference.onnx if it is not there."""
        from orchestrator_onnxruntime.reference import write_reference

        path = folder / "reference.onnx"
        write_reference(path)
        return Artifact(path, "onnx", exact=True)

    def signature(self, artifact: Artifact) -> str:
        """The graph, its shapes and types, without the values of weights."""
        from orchestrator_onnxruntime.signature import signature

        return signature(artifact.path)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """From ONNX Runtime's own profile of some inferences in this process.

        Layers are told by their place, name and what comes out, as in "12 n2c_ 96×24×24".
        """
        try:
            found = self._module().kernels(str(artifact.path), dict(self.options))
        except Exception as error:
            text = f"{self.name} does not run {artifact.path.name}: {error}"
            raise CompileError(text) from error
        whole = sum(kernel["microseconds"] for kernel in found) or 1.0
        return [
            Kernel(
                f"{place} {kernel['name']} {'×'.join(map(str, kernel['shape'][1:]))}".strip(),
                kernel["operator"],
                kernel["precision"],
                kernel["microseconds"] / whole,
            )
            for place, kernel in enumerate(found)
        ]

    def usage(self, artifact: Artifact) -> Usage:
        """A session and its one input."""
        lines = (
            "import onnxruntime\n"
            f'session = onnxruntime.InferenceSession("{artifact.path.name}")\n'
            "logits = session.run(None, {session.get_inputs()[0].name: images})[0]"
        )
        return Usage(("onnxruntime",), lines)

    def save_mlflow(self, artifact: Artifact, folder: Path, model: Any) -> None:
        """With one image of zeros as example. Costs a second."""
        from orchestrator_onnxruntime.mlflow_flavour import save_onnx

        save_onnx(artifact.path, folder, model)
