"""What is in a program of torch.export: what decides how fast it is, and what is executed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from orchestrator import Kernel
from orchestrator_torch.export import read

__all__ = ["executed", "signature"]


def signature(path: Path) -> str:
    """A hash of the operators, their arguments and shapes, without names and weights' values."""
    program = read(path)
    numbers = {node.name: f"%{place}" for place, node in enumerate(program.graph.nodes)}
    digest = hashlib.sha256()
    for node in program.graph.nodes:
        words = [node.op, "" if node.op == "placeholder" else str(node.target)]
        words += [_text(argument, numbers) for argument in (node.args, node.kwargs)]
        words.append(_shapes(node.meta.get("val")))
        digest.update(" ".join(words).encode() + b"\n")
    return digest.hexdigest()


def executed(path: Path) -> list[Kernel]:
    """The operators, executed one after the other as they stand in the file, times untold."""
    found = []
    for node in read(path).graph.nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, torch.Tensor):
            operator = str(node.target).removeprefix("aten.").rpartition(".")[0]
            precision = str(value.dtype).removeprefix("torch.")
            if precision.startswith(("float", "bfloat", "int8", "uint8")):
                found.append(Kernel(_layer(node), operator, precision))
    return found


def _layer(node: Any) -> str:
    """The module it comes from, or its own name."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [name for name, _ in stack.values() if name]
    return names[-1] if names else str(node.name)


def _text(argument: Any, numbers: dict[str, str]) -> str:
    if isinstance(argument, torch.fx.Node):
        return numbers[argument.name]
    if isinstance(argument, (list, tuple)):
        return "(" + " ".join(_text(item, numbers) for item in argument) + ")"
    if isinstance(argument, dict):
        return "{" + " ".join(f"{k}={_text(v, numbers)}" for k, v in argument.items()) + "}"
    return repr(argument)


def _shapes(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        lengths = [size if isinstance(size, int) else "?" for size in value.shape]
        return f"{value.dtype}{lengths}"
    if isinstance(value, (list, tuple)):
        return " ".join(_shapes(item) for item in value)
    return type(value).__name__
