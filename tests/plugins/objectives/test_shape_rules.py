"""Outputs told by rule are those that torch gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from orchestrator_objectives.operations import OperationCounting
from orchestrator_objectives.shape_rules import _ELEMENTWISE, _IN_PLACE, ruled

ATEN = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def told(output: Any) -> Any:
    if isinstance(output, tuple):
        return tuple(map(told, output))
    return (output.shape, output.stride(), output.dtype, output.device)


def inputs(operator: Any) -> tuple[torch.Tensor, ...]:
    two = [a for a in operator._schema.arguments if a.name == "other"]
    return (meta(2, 8, 5, 5),) * (1 + len(two))


@pytest.mark.parametrize("operator", sorted(_ELEMENTWISE | _IN_PLACE, key=str), ids=str)
def test_what_is_done_element_by_element_keeps_the_shape(operator: Any) -> None:
    args = inputs(operator)
    assert told(ruled(operator, args, {})) == told(operator(*args))
    assert (ruled(operator, args, {}) is args[0]) == (operator in _IN_PLACE)


@pytest.mark.parametrize(
    ("width", "groups", "kernel", "stride", "padding", "dilation"),
    [(16, 1, 3, 1, 1, 1), (8, 8, 5, 2, 2, 1), (12, 4, 1, 1, 0, 1), (8, 2, 3, 3, 0, 2)],
)
def test_a_convolutions_output_is_torchs(
    width: int, groups: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    how = ([stride], [padding, padding], [dilation] * 2, False, [0, 0], groups)
    args = (meta(1, 8, 9, 7), meta(width, 8 // groups, kernel, kernel), None, *how)
    assert told(ruled(ATEN.convolution.default, args, {})) == told(ATEN.convolution.default(*args))


def test_batch_norms_three_outputs_are_torchs() -> None:
    norm = ATEN._native_batch_norm_legit_no_training.default
    args = (meta(1, 8, 9, 7), *(meta(8) for _ in range(4)), 0.1, 1e-5)
    assert told(ruled(norm, args, {})) == told(norm(*args))


@pytest.mark.parametrize(
    "args",
    [
        (meta(2, 8), meta(8)),
        (meta(2, 8), meta(2, 8, dtype=torch.float64)),
        (meta(2, 8).t(), meta(8, 2)),
        (torch.zeros(2, 8), torch.zeros(2, 8)),
    ],
    ids=["broadcast", "types", "strides", "values"],
)
def test_where_no_rule_fits_torch_is_asked(args: tuple[torch.Tensor, ...]) -> None:
    assert ruled(ATEN.add.Tensor, args, {}) is None


def test_a_convolution_that_does_not_fit_is_torchs_to_refuse() -> None:
    with pytest.raises(RuntimeError, match=r"(?i)kernel|channels"), OperationCounting():
        torch.conv2d(meta(1, 3, 2, 2), meta(8, 3, 5, 5))
