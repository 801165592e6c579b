"""What a rule tells of a function is what torch does on the meta device, operation by operation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from orchestrator_objectives.function_rules import told
from orchestrator_objectives.operations import OperationCounting, visible_attention
from orchestrator_objectives.shaped import Shaped
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def places(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.int64, device="meta")


def seen(value: Any) -> Any:
    """Shapes instead of tensors."""
    return tree_map(lambda leaf: ("tensor", *leaf.shape) if is_tensor(leaf) else leaf, value)


def is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


class Recorded(OperationCounting):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Any] = []

    def happened(self, operator: Any, args: Any, kwargs: Any, output: Any) -> None:
        self.operations.append((operator, seen(list(args))))


def by_torch(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, list[Any]]:
    recorded = Recorded()
    with torch.no_grad(), visible_attention(), recorded:
        output = function(*args, **kwargs)
    return (tuple(output.shape), output.stride(), output.dtype), recorded.operations


def by_rule(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, list[Any]] | None:
    shaped = tree_map(lambda leaf: Shaped.like(leaf) if is_tensor(leaf) else leaf, args)
    found = told(function, tuple(shaped), kwargs)
    if found is None:
        return None
    output, operations = found
    shape, stride, dtype = output.form
    return (tuple(shape), stride, dtype), [(op, seen(list(given))) for op, given, _ in operations]


def shortened(rule: Any, wanted: Any) -> Any:
    """torch leaves out what is a default."""
    form, operations = rule
    lengths = [len(given) for _, given in wanted[1]]
    pairs = zip(operations, lengths, strict=True)
    return form, [(operator, given[:length]) for (operator, given), length in pairs]


def turned(*shape: int) -> list[Tensor]:
    """All tensors of that shape that lie without gaps in memory, in whatever order of axes."""
    orders = list(itertools.permutations(range(len(shape))))
    return [
        meta(*(shape[axis] for axis in order)).permute([order.index(i) for i in range(len(shape))])
        for order in orders
    ]


def cut(x: Tensor) -> Tensor:
    """With gaps."""
    return x[..., : x.shape[-1] // 2 + 1]


MAPS = [
    x
    for shape in [(1, 8, 4, 5), (2, 8, 4, 5), (1, 8, 1, 1), (1, 8, 1, 5), (1, 1, 4, 5)]
    for x in turned(*shape)
]
ROWS = [
    x
    for shape in [(1, 5, 8), (2, 5, 8), (1, 1, 8), (5, 8), (1, 8), (1, 4, 5, 8)]
    for x in turned(*shape)
]


def per_channel(x: Tensor) -> list[Tensor]:
    return [meta(x.shape[1]) for _ in range(4)]


CASES: dict[str, Callable[[Tensor], tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "relu": lambda x: (F.relu, (x,), {}),
    "relu in place": lambda x: (F.relu, (x,), {"inplace": True}),
    "silu": lambda x: (F.silu, (x,), {}),
    "hardswish": lambda x: (F.hardswish, (x,), {"inplace": True}),
    "hardsigmoid": lambda x: (F.hardsigmoid, (x,), {}),
    "relu6": lambda x: (F.hardtanh, (x,), {"min_val": 0.0, "max_val": 6.0, "inplace": True}),
    "gelu": lambda x: (F.gelu, (x,), {}),
    "sigmoid": lambda x: (torch.sigmoid, (x,), {}),
    "softmax": lambda x: (Tensor.softmax, (x, -1), {}),
    "plus itself": lambda x: (Tensor.__add__, (x, x), {}),
    "plus a plain one": lambda x: (Tensor.__add__, (x, meta(*x.shape)), {}),
    "minus a row": lambda x: (Tensor.__sub__, (x, meta(x.shape[-1])), {}),
    "times a number": lambda x: (Tensor.__mul__, (x, 0.5), {}),
    "over one": lambda x: (Tensor.__truediv__, (x, meta(1)), {}),
    "mean of the last": lambda x: (Tensor.mean, (x, -1), {}),
    "mean kept": lambda x: (Tensor.mean, (x, (0, -1)), {"keepdim": True}),
    "maximum": lambda x: (Tensor.amax, (x, 1), {"keepdim": True}),
    "joined": lambda x: (torch.cat, ([x, meta(*x.shape)],), {"dim": 1}),
    "batch norm": lambda x: (F.batch_norm, (x, *per_channel(x)), {}),
    "layer norm": lambda x: (F.layer_norm, (x, x.shape[-1:], meta(x.shape[-1]), None), {}),
    "dropped": lambda x: (F.dropout, (x, 0.5, False), {}),
    "transposed": lambda x: (Tensor.transpose, (x, -1, 1), {}),
    "permuted": lambda x: (Tensor.permute, (x, *reversed(range(x.dim()))), {}),
    "greater": lambda x: (torch.maximum, (x, x), {}),
    "selected": lambda x: (Tensor.index_select, (x, 1, places(3)), {}),
    "flattened": lambda x: (Tensor.flatten, (x, 0, -2), {}),
    "unflattened": lambda x: (Tensor.unflatten, (x, -1, (1, -1)), {}),
    "product": lambda x: (torch.matmul, (x, x.transpose(-1, -2)), {}),
    "linear": lambda x: (F.linear, (x, meta(6, x.shape[-1]), meta(6)), {}),
    "linear without bias": lambda x: (F.linear, (x, meta(6, x.shape[-1])), {}),
}
MAP_CASES: dict[str, Callable[[Tensor], tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "1x1": lambda x: (torch.conv2d, (x, meta(6, x.shape[1], 1, 1), meta(6)), {}),
    "3x3": lambda x: (torch.conv2d, (x, meta(6, x.shape[1], 3, 3), None, 2, (1, 1)), {}),
    "depthwise": lambda x: (
        torch.conv2d,
        (x, meta(x.shape[1], 1, 5, 5), None, 1, 2, 1, x.shape[1]),
        {},
    ),
    "times a gate": lambda x: (Tensor.__mul__, (x, meta(*x.shape[:2], 1, 1)), {}),
    "average": lambda x: (F.adaptive_avg_pool2d, (x, 1), {}),
    "greatest": lambda x: (F.adaptive_max_pool2d, (x, 1), {}),
    "pool": lambda x: (F.max_pool2d, (x, 3, 2, 1), {}),
    "pool beyond": lambda x: (F.max_pool2d, (x, 3, 2, 1), {"ceil_mode": True}),
    "averages": lambda x: (F.avg_pool2d, (x, 2), {"ceil_mode": True}),
}


@pytest.mark.parametrize("name", [*CASES, *MAP_CASES])
def test_a_rule_tells_what_torch_does(name: str) -> None:
    case = (CASES | MAP_CASES)[name]
    found = 0
    inputs = MAPS if name in MAP_CASES else [*MAPS, *ROWS]
    for x in (*inputs, *(cut(each) for each in inputs)):
        function, args, kwargs = case(x)
        rule = by_rule(function, args, kwargs)
        if rule is not None:
            found += 1
            assert shortened(rule, wanted := by_torch(function, args, kwargs)) == wanted
    assert found
