"""Ranges that training learnt, found again in an ONNX file.

They come by the names of modules, of which an exporter and what folds and renames after it leave
little. So each tensor is known by what goes through it: the network and the file are given the same
images, and a tensor of the file that holds the very numbers of a module's input or output is it.
That holds whatever the exporter, the folding of norms, and names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from orchestrator.errors import CompressionError, plural
from orchestrator_onnxruntime import loader
from orchestrator_onnxruntime.calibration import Ranges

__all__ = ["with_learned"]

_IMAGES = 2
# The same function in another order of adding up, as a share of the largest number.
_TOLERANCE = 1e-3


def with_learned(
    ranges: Ranges,
    model: Path,
    network: nn.Module,
    learned: Mapping[str, Any],
    images: np.ndarray,
) -> tuple[Ranges, int]:
    """`ranges` of a prepared `model` with those `learned`, and how many of them it has tensors for.

    `learned` maps "module:in" and "module:out" to (lowest, highest). Tensors that no module takes
    or gives keep the range that they have. Raises CompressionError where nothing is found again.
    """
    images = images[:_IMAGES]
    wanted = _of_network(network, learned, images)
    found = _of_file(model, sorted(ranges), images)
    result, placed = dict(ranges), set[str]()
    for name, values in found.items():
        place = next((p for p, other in wanted.items() if _same(values, other)), None)
        if place is not None:
            low, high = learned[place]
            result[name] = (float(low), float(high))
            placed.add(place)
    if not placed:
        raise CompressionError(
            f"none of {plural(len(learned), 'range')} that training learnt belongs to a tensor of "
            f"{model.name}: it was not compiled of this network."
        )
    return result, len(placed)


def _same(values: np.ndarray, other: np.ndarray) -> bool:
    if values.size != other.size:
        return False
    apart = np.abs(values.ravel() - other.ravel()).max()
    return bool(apart <= _TOLERANCE * np.abs(other).max() + 1e-9)


def _of_network(
    network: nn.Module, learned: Mapping[str, Any], images: np.ndarray
) -> dict[str, np.ndarray]:
    """What goes through a network at each place of `learned`."""
    modules, seen, hooks = dict(network.named_modules()), dict[str, np.ndarray](), []

    def keep(place: str) -> Any:
        def hook(module: nn.Module, given: tuple[Tensor, ...], made: Any = None) -> None:
            tensor = given[0] if place.endswith(":in") else made
            seen[place] = tensor.detach().cpu().numpy().copy()

        return hook

    try:
        for place in learned:
            name, _, side = place.rpartition(":")
            if name not in modules:
                raise CompressionError(f"training learnt a range of {name!r}, which is no module.")
            module = modules[name]
            add = module.register_forward_pre_hook if side == "in" else module.register_forward_hook
            hooks.append(add(keep(place)))
        with torch.no_grad():
            network(torch.from_numpy(np.ascontiguousarray(images)))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _of_file(model: Path, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """What goes through the file's tensors."""
    asked = onnx.load(str(model))
    known = {value.name for value in asked.graph.output}
    made = {name for node in asked.graph.node for name in node.output}
    (image,) = (value.name for value in asked.graph.input)
    wanted = [name for name in names if name in made]
    asked.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in known)
    path = model.with_name("all_outputs.onnx")
    onnx.save(asked, str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=[loader.PROVIDER])
    return {image: images, **dict(zip(wanted, session.run(wanted, {image: images}), strict=True))}
