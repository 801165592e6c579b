"""ExecuTorch's programs, executed by XNNPACK on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator import (
    Artifact,
    Kernel,
    Runtime,
    Usage,
    exported,
    write_whole,
)
from orchestrator.errors import CompileError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ExecuTorch"]


class ExecuTorch(Runtime):
    """A .pte program, executed with `threads` threads, its layers by XNNPACK where it takes them.

    It takes one image: a batch is fixed when a program is lowered. `predict` goes through images
    one by one, at what an image costs in `latencies`. Compiling takes 10 to 15 CPU seconds.
    """

    name = "executorch"
    formats: ClassVar[frozenset[str]] = frozenset({"pte"})
    packages: ClassVar[tuple[str, ...]] = ("executorch", "torchao", "torch")
    quantizers: ClassVar[tuple[str, ...]] = ("executorch_quantization",)
    loader: ClassVar[Path] = Path(__file__).with_name("loader.py")

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.pte for images like `example`, one at a time; raises CompileError."""
        from orchestrator_executorch.lowering import lowered

        target = path if path.suffix == ".pte" else path.with_name(f"{path.name}.pte")
        write_whole(target, lowered(exported(network, example)))
        return Artifact(target, "pte", exact=True)

    def signature(self, artifact: Artifact) -> str:
        """The program and XNNPACK's graphs, without the values of weights."""
        from orchestrator_executorch.program import signature

        return signature(artifact.path)

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """What was handed to XNNPACK and in what precision, and what stayed on portable kernels."""
        from orchestrator_executorch.program import executed

        try:
            return executed(artifact.path)
        except ValueError as error:
            text = f"{self.name} does not read {artifact.path.name}: {error}"
            raise CompileError(text) from error

    def usage(self, artifact: Artifact) -> Usage:
        """A method of a program, for one image after the other."""
        lines = (
            "import torch\n"
            "from executorch.runtime import Runtime\n"
            f'program = Runtime.get().load_program("{artifact.path.name}")\n'
            'forward = program.load_method("forward")\n'
            "given = torch.from_numpy(images).split(1)\n"
            "logits = torch.cat([forward.execute([image])[0] for image in given]).numpy()"
        )
        return Usage(("executorch",), lines)
