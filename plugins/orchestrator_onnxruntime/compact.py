"""ONNX files without ballast: in a small network, names and tracebacks outweigh the weights."""

from __future__ import annotations

from pathlib import Path

__all__ = ["compact_onnx"]


def compact_onnx(path: Path) -> None:
    """Drop documentation and metadata in place, and number the nodes and the inner tensors.

    Inputs and outputs keep their names. A graph with branches or loops keeps its tensors' names,
    as inner graphs refer to them. Needs the package onnx.
    """
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    del graph.value_info[:]
    for item in (graph, *graph.node, *graph.input, *graph.output):
        del item.metadata_props[:]
        item.doc_string = ""
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
    for index, node in enumerate(graph.node):
        node.name = f"n{index:x}_"  # quantizers tell nodes apart by name
    if not any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        _number_tensors(graph)
    onnx.save(model, str(path))


def _number_tensors(graph) -> None:  # type: ignore[no-untyped-def]
    numbers: dict[str, str] = {value.name: value.name for value in (*graph.input, *graph.output)}
    numbers[""] = ""  # an optional input that is left out

    def short(name: str) -> str:
        # No name is the beginning of another: ONNX Runtime's quantizer mixes such tensors up.
        return numbers.setdefault(name, f"t{len(numbers):x}_")

    for node in graph.node:
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for initializer in graph.initializer:
        initializer.name = short(initializer.name)
