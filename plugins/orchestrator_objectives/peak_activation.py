"""The memory that activations need at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from orchestrator import Objective, Subject
from orchestrator_objectives.counting import executed
from orchestrator_objectives.operations import OperationCounting
from orchestrator_objectives.operators import (
    is_folded,
    is_pointwise,
    moves_nothing,
    results,
    tensors,
)

__all__ = ["PeakActivation"]

BYTES_AN_ELEMENT = 4


class PeakActivation(Objective):
    """The most bytes of activations that are alive at once, float32, batch 1, without weights.

    A tensor lives from the operator that makes it to the last that reads it, in the order of
    execution; an operator needs its inputs and its outputs at the same time. The image counts, and
    all views of a tensor are one. Batch norm, activations, sums and products of elements write
    over an input that nobody reads later, as runtimes do, whether or not the layer says
    inplace=True. What an operator needs for itself is not known.
    """

    name = "peak_activation"
    unit = "bytes"
    direction = "minimize"
    tier = "static"
    by_shapes = True
    summary: ClassVar[str] = "peak memory of one image's activations, float32"

    def measure(self, subject: Subject) -> float:
        """Bytes; raises BuildError if the network does not run. Cost: 20 to 100 ms."""
        return float(executed(subject.network, subject.input_shape, _peak).bytes)

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """The operator that needs most, the shape it gives, and how many tensors are alive."""
        peak = executed(subject.network, subject.input_shape, _peak)
        return {"operator": peak.operator, "output": peak.output, "tensors": float(peak.tensors)}


@dataclass(frozen=True)
class _Peak:
    """Bytes alive at an operator, and in how many tensors."""

    bytes: int
    operator: str
    output: str
    tensors: int


@dataclass(frozen=True)
class _Step:
    """One operation: the activations it reads and makes, as numbers; number 0 is the image."""

    operator: str
    output: str
    reads: frozenset[int]
    makes: tuple[int, ...]
    may_overwrite: bool


class _Recording(OperationCounting):  # type: ignore[no-untyped-call]
    """The operations on what depends on the image; what does not is a constant when deployed."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.bytes: list[int] = []
        self.steps: list[_Step] = []
        # The storages are kept, since a later one may get the address of one that is gone.
        self._known: dict[int, tuple[Any, int]] = {}
        self._make(image)

    def happened(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        reads = self.numbers((args, kwargs))
        given = results(operator, output)
        if not reads or moves_nothing(operator):
            return
        made = tuple(self._make(tensor) for tensor in given if not self.numbers(tensor))
        step = _Step(
            operator=operator._overloadpacket.__name__,
            output="×".join(str(size) for size in given[0].shape) if given else "",
            reads=reads,
            makes=made,
            may_overwrite=is_pointwise(operator) or is_folded(operator),
        )
        self.steps.append(step)

    def numbers(self, value: Any) -> frozenset[int]:
        """The activations among the tensors in `value`."""
        keys = (_address(tensor) for tensor in tensors(value))
        return frozenset(self._known[key][1] for key in keys if key in self._known)

    def _make(self, tensor: Tensor) -> int:
        number, storage = len(self.bytes), tensor.untyped_storage()
        self._known[_address(tensor)] = (storage, number)
        self.bytes.append(storage.nbytes() // tensor.element_size() * BYTES_AN_ELEMENT)
        return number


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _peak(network: nn.Module, image: Tensor) -> _Peak:
    recording = _Recording(image)
    with recording:
        output = network(image)
    last = _last_readers(recording.steps)
    last.update(dict.fromkeys(recording.numbers(output), len(recording.steps)))
    sizes = recording.bytes
    alive = {0: sizes[0]}
    peak = _Peak(sizes[0], "none", "×".join(str(size) for size in image.shape), 1)
    for place, step in enumerate(recording.steps):
        dying = [number for number in step.reads if last[number] == place]
        for number in step.makes:
            if step.may_overwrite:
                _overwrite(alive, dying, sizes[number])
            alive[number] = sizes[number]
        total = sum(alive.values())
        if total > peak.bytes:
            peak = _Peak(total, step.operator, step.output, len(alive))
        for number in (*dying, *step.makes):
            if last[number] == place:
                alive.pop(number, None)
    return peak


def _last_readers(steps: Sequence[_Step]) -> dict[int, int]:
    """For each activation the place of its last reader; where there is none, of its maker."""
    last = {0: 0}
    for place, step in enumerate(steps):
        last.update(dict.fromkeys((*step.reads, *step.makes), place))
    return last


def _overwrite(alive: dict[int, int], dying: list[int], size: int) -> None:
    """Drop an input of the same size that dies here; the image is the caller's."""
    for number in dying:
        if number != 0 and alive.get(number) == size:
            del alive[number]
            return
