"""Weights as indices into a small codebook (Han et al. 2016, Deep Compression, arXiv:1510.00149).

Each weight tensor of an ONNX file is replaced by 16 or 256 shared values, found by k-means, and
an index a weight; a Gather node puts them together again. The file shrinks about four times
(8 bits) or eight times (4 bits, two indices a byte). Runtimes expand the weights while loading:
what is gained is storage and transfer, not latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from orchestrator import Artifact, ArtifactCompressor, CompressionContext, Trial
from orchestrator.errors import CompressionError, ConfigError

__all__ = ["Codebook", "clustered"]

# In a smaller tensor the codebook and its nodes outweigh what they save.
FEWEST_WEIGHTS = 512
ROUNDS = 20


class Codebook(ArtifactCompressor):
    """`bits` is what the search chooses from; 0 leaves the file as it is."""

    name = "tiny_codebook"
    requires = frozenset({"onnx"})
    provides = frozenset({"codebook"})
    # Weights that are integers already have nothing left to share.
    conflicts = frozenset({"int8"})

    def __init__(self, *, bits: tuple[int, ...] = (0, 8, 4)) -> None:
        if not bits or not set(bits) <= {0, 4, 8}:
            raise ConfigError(f"compressor.tiny_codebook.bits: found {bits}, expected 0, 4 and 8")
        self.bits = bits

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """{"bits": 4 or 8} or {}."""
        bits = trial.suggest_categorical("tiny_codebook.bits", list(self.bits))
        return {"bits": bits} if bits else {}

    def transform(
        self, artifact: Artifact, choices: Mapping[str, Any], context: CompressionContext
    ) -> Artifact:
        """`<stem>.codebookN.onnx` beside `artifact`; raises CompressionError."""
        bits = int(choices["bits"])
        model = onnx.load(artifact.path)
        if not _share_weights(model.graph, bits):
            raise CompressionError(
                f"{artifact.path.name} has no float weight tensor of at least "
                f"{FEWEST_WEIGHTS} values, so there is nothing to share."
            )
        path = artifact.path.with_suffix(f".codebook{bits}.onnx")
        onnx.save(model, path)
        return Artifact(path, artifact.format, label=f"codebook{bits}")


def clustered(
    values: NDArray[np.float32], clusters: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """k-means in one dimension: sorted centres (clusters,), and the nearest one's index each."""
    centres = np.quantile(values, np.linspace(0, 1, clusters)).astype(np.float32)
    for _ in range(ROUNDS):
        nearest = _nearest(values, centres)
        counts = np.bincount(nearest, minlength=clusters)
        sums = np.bincount(nearest, weights=values, minlength=clusters)
        # A centre that nobody is near stays where it is.
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres).astype(np.float32)
        centres.sort()
    return centres, _nearest(values, centres)


def _nearest(values: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, values)


def _share_weights(graph: onnx.GraphProto, bits: int) -> int:
    """Replace every large enough float initializer; how many there were."""
    large = [
        tensor
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) >= FEWEST_WEIGHTS
    ]
    nodes: list[NodeProto] = []
    for tensor in large:
        graph.initializer.remove(tensor)
        constants, expansion = _expansion(tensor, bits)
        graph.initializer.extend(constants)
        nodes.extend(expansion)
    # Before the nodes that use them, as ONNX asks for.
    old = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *old])
    return len(large)


def _expansion(tensor: TensorProto, bits: int) -> tuple[list[TensorProto], list[NodeProto]]:
    """Constants, and nodes that make a tensor of the same name from them."""
    weights = numpy_helper.to_array(tensor)
    centres, indices = clustered(weights.ravel(), 2**bits)
    name = tensor.name
    constants = {"centres": centres, "shape": np.array(weights.shape, np.int64)}
    if bits == 8:
        constants["indices"] = indices.astype(np.uint8)
        nodes = [
            helper.make_node("Cast", [f"{name}.indices"], [f"{name}.flat"], to=TensorProto.INT32)
        ]
    else:
        constants |= _packed(indices)
        nodes = _unpacking(name)
    nodes += [
        helper.make_node("Gather", [f"{name}.centres", f"{name}.flat"], [f"{name}.values"]),
        helper.make_node("Reshape", [f"{name}.values", f"{name}.shape"], [name]),
    ]
    return [numpy_helper.from_array(v, f"{name}.{k}") for k, v in constants.items()], nodes


def _packed(indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Two indices a byte: the first half of the tensor in the high bits, the second in the low."""
    half = (len(indices) + 1) // 2
    low = np.zeros(half, np.int64)
    low[: len(indices) - half] = indices[half:]
    return {
        "bytes": (16 * indices[:half] + low).astype(np.uint8),
        "sixteen": np.array(16, np.int32),
        "start": np.array([0], np.int64),
        "end": np.array([len(indices)], np.int64),
    }


def _unpacking(name: str) -> list[NodeProto]:
    """Arithmetic that every ONNX runtime has, rather than 4-bit types that few have."""

    def node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
        names = [f"{name}.{part}" for part in inputs.split()]
        return helper.make_node(operator, names, [f"{name}.{output}"], **attributes)

    return [
        node("Cast", "bytes", "whole", to=TensorProto.INT32),
        node("Div", "whole sixteen", "high"),
        node("Mul", "high sixteen", "shifted"),
        node("Sub", "whole shifted", "low"),
        node("Concat", "high low", "padded", axis=0),
        node("Slice", "padded start end", "flat"),
    ]
