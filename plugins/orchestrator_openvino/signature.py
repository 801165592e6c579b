"""What decides how fast an OpenVINO file is: its graph, shapes and types, not weights' values."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

__all__ = ["signature"]

# Their weights are learnt, even where there is but one, and decide nothing; so do ranges.
_LEARNT = frozenset(
    {
        "BatchNormInference", "Convolution", "ConvolutionBackpropData", "FakeQuantize",
        "GroupConvolution", "GroupConvolutionBackpropData", "MatMul", "PRelu",
    }
)  # fmt: skip
_WHOLE = frozenset({"i32", "i64"})
_NUMBERS = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}


def signature(path: Path) -> str:
    """A hash that is the same for networks that differ in the values of their weights only.

    Names do not count. Whole numbers of 32 and 64 bits count, as they are shapes and axes, and so
    do single numbers, from which runtimes see what may be fused (a division by the root of 2).
    Biases do not count at all: OpenVINO computes them in the kernel of the layer before, and leaves
    out one that is all zeros, as in an untrained network.
    """
    root = ElementTree.parse(path).getroot()
    weights = np.memmap(path.with_suffix(".bin"), np.uint8, "r")
    digest = hashlib.sha256()
    for word in _Graph(root, weights).told():
        digest.update(word.encode() + b"\n")
    return digest.hexdigest()


class _Graph:
    """The layers of an .xml in their order, which is one in which they can run."""

    def __init__(self, root: Any, weights: np.ndarray) -> None:
        self._layers = {layer.get("id"): layer for layer in root.iter("layer")}
        self._weights = weights
        self._inputs: dict[str, list[tuple[int, str, str]]] = {name: [] for name in self._layers}
        for edge in root.iter("edge"):
            source = (int(edge.get("to-port")), edge.get("from-layer"), edge.get("from-port"))
            self._inputs[edge.get("to-layer")].append(source)
        self._called: dict[str, str] = {}
        self._constant: set[str] = set()

    def told(self) -> list[str]:
        """A line for each layer that runs, in an order that the file's own does not change.

        A layer is called by what it is computed from, so that names and places do not count.
        """
        lines = []
        for name, layer in self._layers.items():
            sources = sorted(self._inputs[name])
            if layer.get("type") == "Const":
                self._constant.add(name)
                continue
            if (biased := self._biased(layer, sources)) is not None:
                self._called[name] = self._called[biased]
                continue
            line = self._line(layer, sources)
            self._called[name] = hashlib.sha256(line.encode()).hexdigest()[:16]
            # What constants alone decide is told where it is used: it is computed while loading.
            if sources and self._constant.issuperset(source for _, source, _ in sources):
                self._constant.add(name)
            else:
                lines.append(line)
        return sorted(lines)

    def _biased(self, layer: Any, sources: list[tuple[int, str, str]]) -> str | None:
        """The layer whose bias this one adds, if it does."""
        if layer.get("type") != "Add":
            return None
        computed = [source for _, source, _ in sources if source not in self._constant]
        if len(computed) != 1:
            return None
        before = self._layers[computed[0]].get("type")
        scaled = any(source in self._constant for _, source, _ in self._inputs[computed[0]])
        return computed[0] if before in _LEARNT or (before == "Multiply" and scaled) else None

    def _line(self, layer: Any, sources: list[tuple[int, str, str]]) -> str:
        computed = all(source in self._constant for _, source, _ in sources)
        plain = layer.get("type") not in _LEARNT and not computed
        inputs = [
            f"{self._called[source]}.{port}"
            if source in self._called
            else self._constant_text(self._layers[source], plain=plain)
            for _, source, port in sources
        ]
        outputs = [
            f"{port.get('precision')}{[dim.text for dim in port.iter('dim')]}"
            for port in layer.iterfind("output/port")
        ]
        settings = [f"{key}={value}" for data in layer.iterfind("data")
                    for key, value in sorted(data.attrib.items())]  # fmt: skip
        kind = f"{layer.get('version')}.{layer.get('type')}"
        return " ".join([kind, *inputs, "→", *outputs, *settings])

    def _constant_text(self, layer: Any, *, plain: bool) -> str:
        data = layer.find("data")
        kind, shape = data.get("element_type"), data.get("shape")
        start, size = int(data.get("offset")), int(data.get("size"))
        number = _NUMBERS.get(kind)
        text = f"{kind}[{shape}]"
        if number is not None:
            values = np.frombuffer(self._weights[start : start + size].tobytes(), number)
            if kind in _WHOLE or (plain and values.size == 1):
                text += str(values.tolist())
        return text
