"""OpenVINO's files, executed by OpenVINO on a processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from orchestrator import Artifact, Device, Kernel, Runtime, Usage
from orchestrator.errors import CompileError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OpenVino"]


class OpenVino(Runtime):
    """An .xml with the network and a .bin with its weights, executed with `threads` threads.

    `precision` is what floats are computed in: "f32", or "bf16" and "f16" where the processor has
    them. Those approximate the network without its file being another, so files that are to be
    executed so are not called exact. `exporter` says by what way a network comes in (see
    `orchestrator_openvino.export`); "auto" is "onnx".

    Latencies are those of a model reshaped to a batch of 1, as in the lines of `usage`.
    """

    name = "openvino"
    formats: ClassVar[frozenset[str]] = frozenset({"openvino"})
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    quantizers: ClassVar[tuple[str, ...]] = ("openvino_quantization",)
    loader: ClassVar[Path] = Path(__file__).with_name("loader.py")

    def __init__(
        self,
        *,
        threads: int = 1,
        precision: Literal["f32", "bf16", "f16"] = "f32",
        exporter: Literal["auto", "onnx", "torch"] = "auto",
    ) -> None:
        super().__init__(threads=threads)
        self.precision = precision
        self.exporter = exporter

    @property
    def options(self) -> Mapping[str, Any]:
        """The number of threads and the precision of floats."""
        return {"threads": self.threads, "precision": self.precision}

    @property
    def exact(self) -> bool:
        """Whether floats are computed as the network does."""
        return self.precision == "f32"

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.xml and `path`.bin, input "image", output "logits", batch open.

        Raises CompileError if the exporter does not take the network.
        """
        from orchestrator_openvino.export import export

        target = path if path.suffix == ".xml" else path.with_name(f"{path.name}.xml")
        export(network, example, target, "torch" if self.exporter == "torch" else "onnx")
        return self._artifact(target)

    def compiles_like(self, other: Device) -> bool:
        """Whatever the threads."""
        return isinstance(other, OpenVino) and (other.exporter, other.exact) == (
            self.exporter,
            self.exact,
        )

    def reference(self, folder: Path) -> Artifact:
        """A fixed convolutional network, written to `folder`/reference.xml if it is not there."""
        from orchestrator_openvino.reference import write_reference

        path = folder / "reference.xml"
        write_reference(path)
        return self._artifact(path)

    def signature(self, artifact: Artifact) -> str:
        """The graph, its shapes and types, without the values of weights."""
        from orchestrator_openvino.signature import signature

        return signature(artifact.path)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """What OpenVINO executes on this machine's processor, with shares of the time measured."""
        from orchestrator_openvino.kernels import executed

        try:
            return executed(str(artifact.path), self.options)
        except Exception as error:
            text = f"{self.name} does not load {artifact.path.name}: {error}"
            raise CompileError(text) from error

    def usage(self, artifact: Artifact) -> Usage:
        """A request for images of one batch size, and what OpenVINO must be told."""
        told = f'"INFERENCE_NUM_THREADS": {self.threads}, '
        told += f'"INFERENCE_PRECISION_HINT": "{self.precision}"'
        lines = (
            "import openvino\n"
            "core = openvino.Core()\n"
            f'model = core.read_model("{artifact.path.name}")\n'
            "model.reshape(images.shape)\n"
            f'settings = {{"PERFORMANCE_HINT": "LATENCY", {told}}}\n'
            'request = core.compile_model(model, "CPU", settings).create_infer_request()\n'
            "request.set_input_tensor(openvino.Tensor(images))\n"
            "request.infer()\n"
            "logits = request.get_output_tensor().data"
        )
        return Usage(("openvino",), lines)

    def _artifact(self, path: Path) -> Artifact:
        beside = (path.with_suffix(".bin"),)
        return Artifact(path, "openvino", exact=self.exact, beside=beside)
