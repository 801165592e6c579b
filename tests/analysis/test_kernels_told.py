from __future__ import annotations

from orchestrator.analysis.kernels import float_islands, float_notes, integer_share
from orchestrator.contracts import Kernel


def kernel(operator: str, share: float | None = 0.1, precision: str = "float32") -> Kernel:
    return Kernel(f"a {operator}", operator, precision, share)


CONV = kernel("QLinearConv", 0.2, "uint8")
KERNELS = [
    kernel("QuantizeLinear"),
    CONV,
    *(kernel("DequantizeLinear"), kernel("HardSigmoid"), kernel("QuantizeLinear")),
    CONV,
    *(kernel("DequantizeLinear", 0.05), kernel("HardSigmoid", 0.05)),
]


def test_islands_are_what_lies_between_integer_layers():
    found = float_islands(KERNELS)
    assert [island.operators for island in found] == [(), ("HardSigmoid",), ("HardSigmoid",)]
    assert found[1].layers == ("a DequantizeLinear", "a HardSigmoid", "a QuantizeLinear")
    assert [round(island.share, 2) for island in found] == [0.1, 0.3, 0.1]


def test_a_file_in_float_has_no_islands():
    assert float_islands([kernel("Conv"), kernel("Relu")]) == []


def test_kinds_are_told_with_their_cost_and_the_costliest_first():
    assert float_notes(KERNELS) == [
        "2 × HardSigmoid: 40% of the time",
        "1 × from and to integers: 10% of the time",
    ]


def test_more_than_five_kinds_are_summed_up():
    kinds = [k for n in range(7) for k in (CONV, kernel(f"Op{n}", 0.01 * n))]
    told = float_notes(kinds)
    assert len(told) == 6
    assert told[-1] == "2 others: 1% of the time"


def test_what_is_not_known_is_not_told():
    unknown = [CONV, kernel("Erf", None)]
    assert float_notes(unknown) == ["1 × Erf"]
    assert integer_share(unknown) == 0.2
    assert integer_share([kernel("QLinearConv", None, "int8")]) is None
