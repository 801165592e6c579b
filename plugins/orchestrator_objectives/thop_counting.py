"""Multiply-adds by thop's convention, where thop is blind completed (Zhu 2018, pytorch-OpCounter).

thop sums a rule for each layer class it knows: multiply-adds of convolutions and linear layers
(no bias), and one for each elementary operation of some others: normalisation 4 an element (2
without weights), softmax 3, average pooling 1 an output and adaptive average pooling
(window + 1) an output; ReLU and max pooling are free. It sees classes, not operations. Added here:

- subclasses of the normalisation layers, and GroupNorm, as normalisation;
- Hardsigmoid 2 an element (shift, scale; clamping is free like ReLU), Hardswish 3, Sigmoid 3
  (exponential, sum, quotient), SiLU 4, GELU 5;
- convolutions and matrix products that no layer of thop's performs: functional ones, those in
  subclasses, and attention's, fused or not, in multiply-adds.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.errors import BuildError
from orchestrator_objectives.counting import example
from orchestrator_objectives.lending import lent
from orchestrator_objectives.operations import OperationCounting, visible_attention

__all__ = ["count_by_thop"]

_NORMALISATION = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
_OPERATIONS_AN_ELEMENT = {
    nn.Hardsigmoid: 2,
    nn.Hardswish: 3,
    nn.Sigmoid: 3,
    nn.SiLU: 4,
    nn.GELU: 5,
}
# What thop's rules count exactly as an operation counter does, so that it is not counted again.
_COUNTED_BY_LAYER = frozenset({nn.Linear, nn.RNN, nn.GRU, nn.LSTM}) | {
    getattr(nn, f"Conv{transposed}{n}d") for n in (1, 2, 3) for transposed in ("", "Transpose")
}


def count_by_thop(network: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """The figure for one image (C, H, W); leaves `network` as it was. Cost: 20 to 100 ms.

    Raises BuildError if the network does not run.
    """
    try:
        return _count(network, input_shape, meta=True)
    except Exception:
        # Shapes that depend on values need values.
        try:
            return _count(network, input_shape, meta=False)
        except Exception as error:
            raise BuildError(
                f"thop cannot count {type(network).__name__}: it does not run on one image of "
                f"shape {input_shape} ({type(error).__name__}: {error}). Check the image size "
                "and channels."
            ) from error


def _count(network: nn.Module, input_shape: tuple[int, int, int], *, meta: bool) -> int:
    thop = _thop()
    counting = OperationCounting()
    with lent(network, meta=meta) as loans, torch.no_grad(), visible_attention():
        for loan in loans:
            if type(loan.module) in _COUNTED_BY_LAYER:
                loan.lent["forward"] = _unseen(loan.module.forward, counting)
        rules = _rules({type(loan.module) for loan in loans})
        image = example(network, input_shape, meta=meta)
        with counting, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This API is being deprecated")
            by_layer, _ = thop.profile(network, (image,), custom_ops=rules, verbose=False)
    layers: int = round(by_layer)
    return layers + counting.total


def _thop() -> Any:
    with warnings.catch_warnings():
        # It compares versions with distutils.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("thop")
        except ImportError as error:
            raise BuildError(
                f"counter=thop needs thop, and setuptools from Python 3.12 on ({error}); "
                "pip install thop setuptools, or choose counter=exact."
            ) from error


def _unseen(forward: Callable[..., Any], counting: OperationCounting) -> Callable[..., Any]:
    """A layer's forward whose operations are not counted, as thop has a rule for the layer."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with _paused(counting):
            return forward(*args, **kwargs)

    return run


@contextmanager
def _paused(counting: OperationCounting) -> Iterator[None]:
    before = counting.total
    try:
        yield
    finally:
        counting.total = before


def _rules(classes: set[type]) -> dict[type, Callable[..., None]]:
    hooks = importlib.import_module("thop.profile").register_hooks
    rules: dict[type, Callable[..., None]] = {}
    for kind in classes - set(hooks):
        if issubclass(kind, _NORMALISATION):
            rules[kind] = _normalisation
        for known, operations in _OPERATIONS_AN_ELEMENT.items():
            if issubclass(kind, known):
                rules[kind] = functools.partial(_elementwise, operations)
    return rules


def _normalisation(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    scaled = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    _elementwise(4 if scaled else 2, module, inputs, output)


def _elementwise(operations: int, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    module.total_ops += operations * inputs[0].numel()
