"""Which layers an int8 file of OpenVINO's keeps in float, so that it loses no more than allowed.

Neighbouring layers with weights are a block. The harm of each is how much noise leaves the answers
when it alone stays in float, found with files quantized quickly: a few images, no correction of
biases. Blocks then stay in float in the order of their harm, as few of them as reach what is asked
for, found by bisection with files quantized properly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator import strongest
from orchestrator.errors import CompressionError, plural

__all__ = ["Trial", "choose_wide"]

_MOST_BLOCKS = 10
_WEIGHTED = frozenset({"Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData"})


@dataclass(frozen=True)
class Trial:
    """What is done to find out: `answers(wide)`, float32 (N, …), of a file quantized quickly with
    these layers in float, None for the float file; `reached(wide)`, the leading metric of one
    quantized properly; and the `least` of it that will do."""

    answers: Callable[[Collection[str] | None], np.ndarray]
    reached: Callable[[Collection[str]], float]
    least: float


def choose_wide(model: Any, trial: Trial) -> list[str]:
    """The names of the layers that stay in float, in the order of the model.

    Raises CompressionError where no number of blocks that harm reaches what is asked for.
    """
    if trial.reached(()) >= trial.least:
        return []
    blocks = _by_harm(_blocks(model), trial)

    def reached(count: int) -> float:
        return trial.reached(_names(blocks[:count]))

    found = strongest(range(len(blocks), 0, -1), reached, trial.least)
    if found is None:
        raise CompressionError(
            f"int8_mixed: with all of {plural(len(blocks), 'block')} of layers that harm left in "
            f"float the file still reaches less than {trial.least:.4g}. Allow a larger max_drop, "
            "or train for quantization."
        )
    chosen = set(_names(blocks[:found]))
    return [name for name in _weighted(model) if name in chosen]


def _by_harm(blocks: Sequence[Sequence[str]], trial: Trial) -> list[Sequence[str]]:
    """Those that harm at all, the worst first."""
    wanted = trial.answers(None)

    def noise(wide: Collection[str]) -> float:
        return float(np.square(trial.answers(wide) - wanted).mean())

    whole = noise(())
    harms = [(whole - noise(block), block) for block in blocks]
    return [block for harm, block in sorted(harms, key=lambda item: -item[0]) if harm > 0]


def _blocks(model: Any) -> list[list[str]]:
    names = _weighted(model)
    size = max(1, math.ceil(len(names) / _MOST_BLOCKS))
    return [names[start : start + size] for start in range(0, len(names), size)]


def _weighted(model: Any) -> list[str]:
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in _WEIGHTED
    ]


def _names(blocks: Sequence[Sequence[str]]) -> list[str]:
    return [name for block in blocks for name in block]
