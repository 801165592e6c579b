"""Memory access cost (Ma et al., "ShuffleNet V2", 2018, arXiv:1807.11164)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from orchestrator import Objective, Subject
from orchestrator_objectives.counting import ExactCounter, executed
from orchestrator_objectives.operations import OperationCounting
from orchestrator_objectives.operators import (
    is_folded,
    is_pointwise,
    moves_nothing,
    results,
    tensors,
)

__all__ = ["MemoryAccess", "elements_moved"]

# What mm, addmm, bmm and their kind are called.
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot")


class MemoryAccess(Objective):
    """Elements that all operators of a forward pass read and write at batch 1.

    Each operator counts the elements of its inputs, its output and its weights: for a 1×1
    convolution without bias hw(c1 + c2) + c1·c2 / g, as in the paper. That is a lower bound, as if
    an operator had cache enough for all it touches. Sums, activations, pooling, copies and
    attention's products count like any other; views of memory count nothing. Neither does batch
    norm, which deployment folds into a convolution.
    """

    name = "memory_access"
    unit = "elements"
    direction = "minimize"
    tier = "static"
    by_shapes = True
    summary: ClassVar[str] = "elements that all operators read and write for one image"

    def __init__(self) -> None:
        self._counter = ExactCounter(elements_moved)

    def measure(self, subject: Subject) -> float:
        """The sum; raises BuildError if the network does not run on `subject.input_shape`."""
        return float(self._counter.count(subject.network, subject.input_shape))

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """How much of it each kind of operator moves, in elements. Cost: 20 to 100 ms."""
        return executed(subject.network, subject.input_shape, _by_kind)


def elements_moved(
    operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> int:
    """Elements of an operation's inputs, weights among them, and of its output."""
    if moves_nothing(operator) or is_folded(operator):
        return 0
    moved = (*tensors((args, kwargs)), *results(operator, output))
    return sum(tensor.numel() for tensor in moved)


class _ByKind(OperationCounting):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()
        self.moved: Counter[str] = Counter()

    def happened(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        self.moved[_kind(operator)] += elements_moved(operator, args, kwargs, output)


def _by_kind(network: nn.Module, image: Tensor) -> dict[str, float | str]:
    counting = _ByKind()
    with counting:
        network(image)
    return {kind: float(moved) for kind, moved in counting.moved.most_common() if moved}


def _kind(operator: Any) -> str:
    name = operator._overloadpacket.__name__
    if "convolution" in name:
        return "convolutions"
    if name in _PRODUCTS:
        return "matrix products"
    return "elementwise" if is_pointwise(operator) else "others"
