"""Writing a torch network as an ExecuTorch program whose layers XNNPACK takes where it can.

The way is torch.export → edge operators → XNNPACK's partitions → .pte. What XNNPACK does not take
stays on ExecuTorch's portable kernels, which are plain loops (see `kernels` in `program.py`).
Lowering costs 10 to 15 CPU seconds a network, most of it in passes over the graph.
"""

from __future__ import annotations

from typing import Any

from orchestrator import failure_of, quiet_export
from orchestrator.errors import CompileError

__all__ = ["lowered"]


def lowered(program: Any) -> bytes:
    """What an exported program is as a .pte file; raises CompileError."""
    try:
        with quiet_export():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return bytes(edge.to_executorch().buffer)
    except Exception as error:
        text = f"ExecuTorch does not lower the network: {failure_of(error)}"
        raise CompileError(text) from error
