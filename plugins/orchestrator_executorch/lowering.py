"""Writing a torch network as an ExecuTorch program whose layers XNNPACK takes where it can.

The way is torch.export → edge operators → XNNPACK's partitions → .pte. What XNNPACK does not take
stays on ExecuTorch's portable kernels, which are plain loops (see `kernels` in `program.py`).
Lowering costs 10 to 15 CPU seconds a network, most of it in passes over the graph.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from orchestrator import refuse_meta
from orchestrator.errors import CompileError

__all__ = ["exported", "lowered", "quiet", "reason"]

_POOL = torch.ops.aten.adaptive_max_pool2d.default
_WINDOWS = torch.ops.aten.max_pool2d.default


def exported(network: nn.Module, example: Tensor) -> Any:
    """The network's program for one image (1, C, H, W), its batch fixed; `network` stays as it is.

    Raises CompileError for what torch.export does not take.
    """
    refuse_meta(network)
    try:
        with quiet(), torch.no_grad():
            # Weights that lie channels last, as trained ones do, would be lowered as transposed.
            plain = copy.deepcopy(network).eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            program = torch.export.export(plain, (example.contiguous(),))
            _pool_windows(program.graph_module.graph)
            program.graph_module.recompile()
    except Exception as error:
        text = f"torch.export does not take {type(network).__name__}: {reason(error)}"
        raise CompileError(text) from error
    return program


def lowered(program: Any) -> bytes:
    """What an exported program is as a .pte file; raises CompileError."""
    try:
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return bytes(edge.to_executorch().buffer)
    except Exception as error:
        raise CompileError(f"ExecuTorch does not lower the network: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The kind of an error and its first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _pool_windows(graph: torch.fx.Graph) -> None:
    """Adaptive max pooling as pooling with windows.

    ExecuTorch's operators lack the first, and XNNPACK takes the second.
    """
    for node in list(graph.find_nodes(op="call_function", target=_POOL)):
        source, size = node.args
        sides = source.meta["val"].shape[-2:]
        if any(side % pooled for side, pooled in zip(sides, size, strict=True)):
            raise CompileError(f"adaptive max pooling of {tuple(sides)} to {tuple(size)}")
        window = [side // pooled for side, pooled in zip(sides, size, strict=True)]
        for value in list(node.users):
            _pool(graph, value, (source, window, window))
        graph.erase_node(node)


def _pool(graph: torch.fx.Graph, value: Node, arguments: Any) -> None:
    if value.args[1] != 0:  # the places of the greatest values
        graph.erase_node(value)  # raises where they are used
        return
    with graph.inserting_before(value):
        pooled = graph.call_function(_WINDOWS, arguments)
    pooled.meta = dict(value.meta)
    value.replace_all_uses_with(pooled)
    graph.erase_node(value)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notes that torch and ExecuTorch write for their own developers."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
