"""Which layers stay wide in an int8 file: those that harm most for the time that they cost.

Harm is what a block of layers adds to the noise of the answers, measured by leaving it in float
while the rest is quantized (its part of the quantized network's noise, as the others interact).
Cost is its share of the float network's time, by ONNX Runtime's profile, rounded to a power of two,
so that a busy machine seldom changes what is chosen. Blocks are then taken greedily by harm for
cost (Wang et al. 2019, "HAQ", arXiv:1811.08886, searches the same trade-off), each verified, until
the noise is a quarter or the time allowed is spent. That the answers agree on calibration images is
told but not aimed at: a network that was trained on them agrees with itself there at once. Equal
images and shares give the same layers.

A block has two layers or more: ONNX Runtime quantizes the weights of a lone layer between integer
ones by itself while loading. What it did so is not told as wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from orchestrator import strongest
from orchestrator.errors import CompressionError, plural
from orchestrator_onnxruntime import loader

__all__ = ["Allowance", "Guard", "Wide", "choose_wide"]

# Writes an int8 file with these nodes in float.
Write = Callable[[Collection[str], Path], None]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_LEAST_SHARE = 2.0**-10
_LEAST_LAYERS = 2


@dataclass(frozen=True)
class Allowance:
    """How far the choice may go: `evaluations` of a file, and the share of the time kept wide.

    It ends where the noise is at most `noise` times that of the file with all layers in int8.
    """

    evaluations: int = 16
    share: float = 0.25
    noise: float = 0.25


@dataclass(frozen=True)
class Guard:
    """What a file must reach: `reached(file)`, the leading metric, at least `least`."""

    reached: Callable[[Path], float]
    least: float


@dataclass
class Wide:
    """The nodes left in float, as plain data for the bundle, and what came of each trial.

    `noise` is the mean squared error of the answers as a share of their mean square.
    """

    nodes: list[str]
    layers: list[str]
    share: float
    noise: float
    agreement: float
    noise_before: float
    agreement_before: float
    evaluations: int


@dataclass
class _Block:
    nodes: list[str]
    layers: list[str]
    share: float
    harm: float = 0.0


@dataclass
class _Trials:
    """Measures files on a folder's scratch place, and counts them."""

    model: Path
    images: np.ndarray
    write: Write
    done: int = 0
    wanted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = self._answers(self.model)

    def __call__(self, wide: Collection[str]) -> tuple[float, float]:
        """The noise and the agreement of the answers with these nodes in float."""
        self.done += 1
        path = self.model.with_name("trial.onnx")
        self.write(wide, path)
        found = self._answers(path)
        noise = float(np.square(found - self.wanted).mean() / np.square(self.wanted).mean())
        return noise, float(np.mean(found.argmax(1) == self.wanted.argmax(1)))

    def _answers(self, path: Path) -> np.ndarray:
        return loader.load(str(path), {"threads": 1}).predict(self.images)


def choose_wide(
    model: Path, images: np.ndarray, write: Write, allowed: Allowance, guard: Guard | None = None
) -> Wide:
    """The layers of a prepared `model` that `write` should leave in float.

    `images` are float32 (N, C, H, W); answers are classes (N, classes, …) on axis 1. Costs
    `allowed.evaluations` files, each written, loaded and asked. With a `guard` as few of them as
    reach what it asks for, whatever their share of the time, found by bisection; raises
    CompressionError where no number of them does.
    """
    trials = _Trials(model, images, write)
    before = trials(())
    ranked = _by_worth(model, trials, before[0], allowed)
    if guard is None:
        kept, (noise, agreement) = _quietest(ranked, trials, before, allowed)
    else:
        kept = _guarded(ranked, model, write, guard)
        noise, agreement = trials(_nodes(kept))
    return Wide(
        nodes=_nodes(kept),
        layers=_in_float(model, write, kept),
        share=sum(block.share for block in kept),
        noise=noise,
        agreement=agreement,
        noise_before=before[0],
        agreement_before=before[1],
        evaluations=trials.done,
    )


def _quietest(
    ranked: Sequence[_Block], trials: _Trials, before: tuple[float, float], allowed: Allowance
) -> tuple[list[_Block], tuple[float, float]]:
    """Greedily, each verified, until the noise is low enough or what is allowed is spent.

    With the noise and the agreement that they leave.
    """
    kept: list[_Block] = []
    reached = before
    for block in ranked:
        if trials.done >= allowed.evaluations or reached[0] <= allowed.noise * before[0]:
            break
        if sum(other.share for other in kept) + block.share > allowed.share:
            continue
        found = trials(_nodes([*kept, block]))
        if found[0] < reached[0]:
            kept.append(block)
            reached = found
    return kept, reached


def _guarded(ranked: list[_Block], model: Path, write: Write, guard: Guard) -> list[_Block]:
    """As few of the first as reach what is asked for."""
    path = model.with_name("guarded.onnx")

    def reached(count: int) -> float:
        write(_nodes(ranked[:count]), path)
        return guard.reached(path)

    found = strongest(range(len(ranked), -1, -1), reached, guard.least)
    if found is None:
        raise CompressionError(
            f"int8_mixed: with all of {plural(len(ranked), 'block')} of layers that harm left in "
            f"float the file still reaches less than {guard.least:.4g}. Allow a larger max_drop, "
            "or train for quantization."
        )
    return ranked[:found]


def _in_float(model: Path, write: Write, kept: Sequence[_Block]) -> list[str]:
    """The layers of these blocks that really run in float, in words."""
    if not kept:
        return []
    path = model.with_name("trial.onnx")
    write(_nodes(kept), path)
    run = _executed(path, onnx.load(str(path)).graph)
    return [
        layer
        for block in kept
        for node, layer in zip(block.nodes, block.layers, strict=True)
        if run[node]["precision"] == "float32"
    ]


def _by_worth(model: Path, trials: _Trials, noise: float, allowed: Allowance) -> list[_Block]:
    """Blocks that harm, those first that harm most for their time; two thirds of the trials."""
    blocks = _blocks(model, max(1, allowed.evaluations * 2 // 3))
    for block in blocks:
        block.harm = noise - trials(block.nodes)[0]
    harmful = [block for block in blocks if block.harm > 0]
    return sorted(harmful, key=lambda block: -block.harm / block.share)


def _nodes(blocks: Sequence[_Block]) -> list[str]:
    return [node for block in blocks for node in block.nodes]


def _blocks(model: Path, most: int) -> list[_Block]:
    """Neighbouring layers together, in at most `most` blocks of as many layers each."""
    graph = onnx.load(str(model)).graph
    weights = {w.name: w for w in graph.initializer}
    weighted = [
        node
        for node in graph.node
        if node.op_type in _WEIGHTED and any(name in weights for name in node.input[1:2])
    ]
    shares = _shares(model, graph)
    size = max(_LEAST_LAYERS, math.ceil(len(weighted) / most))
    found = []
    for start in range(0, len(weighted), size):
        nodes = weighted[start : start + size]
        share = sum(shares.get(node.name, 0.0) for node in nodes)
        told = [_told(node, weights[node.input[1]], start + k) for k, node in enumerate(nodes)]
        found.append(_Block([node.name for node in nodes], told, _rounded(share)))
    return found


def _told(node: Any, weight: Any, place: int) -> str:
    """A layer by what tells it in any file of the network: its place and its weights."""
    return f"layer {place + 1}: {node.op_type} {'×'.join(map(str, weight.dims))}"


def _shares(model: Path, graph: Any) -> dict[str, float]:
    """Node → its share of the time of one inference; what it was fused with counts for it."""
    run = _executed(model, graph)
    whole = sum(kernel["microseconds"] for kernel in run.values()) or 1.0
    return {name: kernel["microseconds"] / whole for name, kernel in run.items()}


def _executed(model: Path, graph: Any) -> dict[str, dict[str, Any]]:
    """Node → what it is executed by; a kernel that is called by what comes out is its layer's."""
    makers = {name: node for node in graph.node for name in node.output}
    found: dict[str, dict[str, Any]] = {}
    for kernel in loader.kernels(str(model), {"threads": 1}):
        node = makers.get(kernel["name"])
        while node is not None and node.op_type not in _WEIGHTED:
            node = makers.get(node.input[0])
        found[kernel["name"] if node is None else node.name] = kernel
    return found


def _rounded(share: float) -> float:
    return float(2.0 ** round(math.log2(max(share, _LEAST_SHARE))))
