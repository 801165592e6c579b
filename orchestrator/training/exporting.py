"""A network as a program of torch.export, for runtimes whose files are made of those.

Such files hold one batch size, that of one image, and are made by tools that know fewer operators
than torch has.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CompileError
from orchestrator.training.modes import refuse_meta

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["exported", "failure_of", "quiet_export"]


def exported(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The network's program for one image (1, C, H, W), its batch fixed; `network` stays as it is.

    Raises CompileError for what torch.export does not take.
    """
    import torch

    refuse_meta(network)
    try:
        with quiet_export(), torch.no_grad():
            # Weights that lie channels last, as trained ones do, would be lowered as transposed.
            plain = copy.deepcopy(network).eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            program = torch.export.export(plain, (example.contiguous(),))
            _pool_windows(program.graph_module.graph)
            program.graph_module.recompile()
    except Exception as error:
        text = f"torch.export does not take {type(network).__name__}: {failure_of(error)}"
        raise CompileError(text) from error
    return program


def failure_of(error: Exception) -> str:
    """The kind of an error and its first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def quiet_export() -> Iterator[None]:
    """Without the notes that torch and exporters write for their own developers."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _pool_windows(graph: Any) -> None:
    """Adaptive max pooling as pooling with windows.

    ExecuTorch's and LiteRT's operators lack the first, and XNNPACK takes the second.
    """
    import torch

    adaptive = torch.ops.aten.adaptive_max_pool2d.default
    for node in list(graph.find_nodes(op="call_function", target=adaptive)):
        source, size = node.args
        sides = source.meta["val"].shape[-2:]
        if any(side % pooled for side, pooled in zip(sides, size, strict=True)):
            raise CompileError(f"adaptive max pooling of {tuple(sides)} to {tuple(size)}")
        window = [side // pooled for side, pooled in zip(sides, size, strict=True)]
        for value in list(node.users):
            _pool(graph, value, (source, window, window))
        graph.erase_node(node)


def _pool(graph: Any, value: Any, arguments: Any) -> None:
    import torch

    if value.args[1] != 0:  # the places of the greatest values
        graph.erase_node(value)  # raises where they are used
        return
    with graph.inserting_before(value):
        pooled = graph.call_function(torch.ops.aten.max_pool2d.default, arguments)
    pooled.meta = dict(value.meta)
    value.replace_all_uses_with(pooled)
    graph.erase_node(value)
