"""LiteRT's models, executed by LiteRT and XNNPACK on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator import (
    Artifact,
    Kernel,
    Runtime,
    Usage,
    WorkingFolder,
    exported,
    write_whole,
)
from orchestrator.errors import CompileError
from orchestrator_litert.environment import Environment

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["LiteRt"]


class LiteRt(Runtime):
    """A .tflite model, executed with `threads` threads, its layers by XNNPACK where it takes them.

    It takes one image: a batch is fixed when a network is converted. `predict` goes through images
    one by one, at what an image costs in `latencies`. Networks are converted in an environment of
    its own (see `Environment`), which costs 10 to 20 CPU seconds each; running needs none of it.
    """

    name = "litert"
    formats: ClassVar[frozenset[str]] = frozenset({"tflite"})
    packages: ClassVar[tuple[str, ...]] = ("ai-edge-litert",)
    quantizers: ClassVar[tuple[str, ...]] = ("litert_quantization",)
    loader: ClassVar[Path] = Path(__file__).with_name("loader.py")

    def check(self) -> None:
        """Raise DeviceError as every runtime does, and where its converter has no environment."""
        super().check()
        Environment.usual().check()

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.tflite for images like `example`, one at a time; raises CompileError.

        And DeviceError where the converter has no environment.
        """
        import torch

        target = path if path.suffix == ".tflite" else path.with_name(f"{path.name}.tflite")
        environment = Environment.usual()
        environment.check()
        with WorkingFolder("litert") as folder:
            source, made = folder / "network.pt2", folder / "network.tflite"
            torch.export.save(exported(network, example), source)
            environment.ask({"op": "convert", "source": str(source), "target": str(made)})
            write_whole(target, made.read_bytes())
        return Artifact(target, "tflite", exact=True)

    def signature(self, artifact: Artifact) -> str:
        """The graph, its shapes and types, without the values of weights."""
        from orchestrator_litert.model import signature

        return signature(artifact.path)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """LiteRT's operators and in what precision each computes."""
        from orchestrator_litert.model import executed

        try:
            return executed(artifact.path)
        except ValueError as error:
            text = f"{self.name} does not read {artifact.path.name}: {error}"
            raise CompileError(text) from error

    def usage(self, artifact: Artifact) -> Usage:
        """An interpreter, for one image after the other; of an int8 model with its ranges."""
        lines = (
            "import numpy\n"
            "from ai_edge_litert.interpreter import Interpreter\n"
            f'model = Interpreter("{artifact.path.name}", num_threads={self.threads})\n'
            "model.allocate_tensors()\n"
            "(given,), (told,) = model.get_input_details(), model.get_output_details()\n"
            "(scale, zero), (by, at) = given['quantization'], told['quantization']\n"
            "answers = []\n"
            "for image in images:\n"
            "    if scale:  # int8\n"
            "        image = numpy.clip(numpy.rint(image / scale) + zero, -128, 127)\n"
            "    model.set_tensor(given['index'], image[None].astype(given['dtype']))\n"
            "    model.invoke()\n"
            "    answer = model.get_tensor(told['index']).astype('float32')\n"
            "    answers.append((answer - at) * by if by else answer)\n"
            "logits = numpy.concatenate(answers)"
        )
        return Usage(("ai-edge-litert",), lines)
