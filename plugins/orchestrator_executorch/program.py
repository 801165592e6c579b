"""What an ExecuTorch program holds: the layers that XNNPACK takes, and those it leaves.

A .pte is a list of instructions. Each calls a portable kernel, or hands over to a backend with a
graph of its own, which for XNNPACK is a flatbuffer behind a small header ("XH00"). Executorch
reads both with what it writes them with; weights lie apart from either.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from orchestrator import Kernel, quiet_export

__all__ = ["executed", "signature"]

_BACKEND = "XnnpackBackend"
# What XNNPACK calls the type of a tensor → what is computed with it.
_PRECISIONS = {
    "fp32": "float32", "pfp32": "float32", "fp16": "float16", "bf16": "bfloat16",
    "qint8": "int8", "qdint8": "int8", "qpint8": "int8", "quint8": "uint8", "int32": "int32",
}  # fmt: skip
# What portable kernels compute with; other whole numbers are shapes and indices.
_SCALAR_TYPES = {"BYTE": "uint8", "CHAR": "int8", "FLOAT": "float32", "HALF": "float16"}
# In a graph of XNNPACK: where weights lie and what they are called, and ranges.
_LEARNT = frozenset({"named_key", "offset", "constant_buffer_idx", "scale", "zero_point"})


def executed(path: Path) -> list[Kernel]:
    """The kernels in the order in which they run; shares of the time are not known.

    XNNPACK's layers are called by their partition and place in it, portable kernels by theirs
    among the instructions. Converting to or from integers is float work, and what is done with
    shapes and indices is left out. Raises ValueError for what is no program.
    """
    content = path.read_bytes()
    plan = _plan(content)
    found: list[Kernel] = []
    partition = 0
    for place, instruction in enumerate(plan.chains[0].instructions):
        call = instruction.instr_args
        if hasattr(call, "delegate_index"):
            graph = _graph(content, plan, call.delegate_index)
            found += _taken(graph, f"xnnpack {partition}")
            partition += 1
        elif hasattr(call, "op_index"):
            precision = _precision(plan, call.args)
            if precision is not None:
                operator = plan.operators[call.op_index].name
                found.append(Kernel(f"portable {place}", operator, precision))
    return found


def signature(path: Path) -> str:
    """A hash that is the same for networks that differ in the values of their weights only.

    Single numbers count (a clip at 6), ranges of quantized values do not.
    """
    content = path.read_bytes()
    plan = _plan(content)
    digest = hashlib.sha256(b"pte")
    for part in (
        plan.operators,
        plan.chains,
        plan.inputs,
        plan.outputs,
        plan.non_const_buffer_sizes,
    ):
        digest.update(json.dumps(_plain(part)).encode())
    for value in plan.values:
        digest.update(json.dumps(_plain(value)).encode())
    for index in range(len(plan.delegates)):
        digest.update(json.dumps(_unlearnt(_graph(content, plan, index))).encode())
    return digest.hexdigest()


def _plan(content: bytes) -> Any:
    with quiet_export():
        from executorch.exir._serialize._flatbuffer_program import _flatbuffer_to_program
        from executorch.exir._serialize._program import _get_extended_header
    try:
        header = _get_extended_header(content)
        program = _flatbuffer_to_program(content[: header.program_size if header else None])
        return program.execution_plan[0]
    except Exception as error:
        raise ValueError(f"it is no ExecuTorch program: {error}") from error


def _graph(content: bytes, plan: Any, index: int) -> Any:
    """The graph of a partition, as JSON values."""
    with quiet_export():
        from executorch.backends.xnnpack import serialization
        from executorch.exir._serialize._flatbuffer import _flatc_decompile
        from executorch.exir._serialize._program import _extract_delegate_payload
    if plan.delegates[index].id != _BACKEND:
        raise ValueError(f"it hands over to {plan.delegates[index].id}, expected {_BACKEND}")
    payload = _extract_delegate_payload(content, _BACKEND, index)
    start, size = (int.from_bytes(payload[at : at + 4], "little") for at in (10, 14))
    schema = Path(next(iter(serialization.__path__))) / "schema.fbs"
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "graph.bin"
        written.write_bytes(payload[start : start + size])
        _flatc_decompile(folder, str(schema), str(written), ["--raw-binary"])
        text = written.with_suffix(".json").read_text()
    return json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", text))


def _taken(graph: Any, partition: str) -> Iterator[Kernel]:
    types = {}
    for value in graph["xvalues"]:
        tensor = value["xvalue_union"]
        tensor = tensor.get("tensor_value", tensor)
        types[tensor["id_out"]] = tensor["datatype"].removeprefix("xnn_datatype_")
    for place, node in enumerate(graph["xnodes"]):
        operator, operands = node["xnode_union_type"].removeprefix("XNN"), node["xnode_union"]
        given = types[operands["input1_id" if "input1_id" in operands else "input_id"]]
        converts = operator == "Convert"
        precision = "float32" if converts else _PRECISIONS.get(given, given)
        yield Kernel(f"{partition}.{place}", operator, precision)


def _precision(plan: Any, arguments: list[int]) -> str | None:
    """The type of the first tensor that a kernel is given; None for shapes and indices."""
    kinds = (getattr(plan.values[argument].val, "scalar_type", None) for argument in arguments)
    first = next((kind for kind in kinds if kind is not None), None)
    return None if first is None else _SCALAR_TYPES.get(first.name)


def _plain(part: Any) -> Any:
    """JSON values of a part of a program, without where constants lie."""
    if is_dataclass(part):
        kept = {field.name: getattr(part, field.name) for field in fields(part)}
        if "data_buffer_idx" in kept:
            kept["data_buffer_idx"] = bool(kept["data_buffer_idx"])
            kept["extra_tensor_info"] = None
        return [type(part).__name__, {name: _plain(value) for name, value in kept.items()}]
    if isinstance(part, (list, tuple)):
        return [_plain(item) for item in part]
    return part if isinstance(part, (int, float, str, bool, type(None))) else str(part)


def _unlearnt(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _unlearnt(value) for name, value in part.items() if name not in _LEARNT}
    return [_unlearnt(item) for item in part] if isinstance(part, list) else part
