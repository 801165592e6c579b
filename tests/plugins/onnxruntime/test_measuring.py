from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime

from orchestrator import Classes, CompressionContext, ImageFacts, interleave
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial


def test_functions_take_turns_and_the_last_call_of_a_turn_is_timed() -> None:
    calls: list[str] = []

    timings = interleave(
        [lambda: calls.append("a"), lambda: calls.append("b")], rounds=3, warmups=1
    )

    assert re.fullmatch("(aa+bb+){4}", "".join(calls))
    assert [timing.runs for timing in timings] == [3, 3]


def test_a_slow_first_call_after_another_network_does_not_show() -> None:
    last = [""]

    def slow_after_others(name: str) -> None:
        if last[0] != name:
            time.sleep(0.02)
        last[0] = name

    timings = interleave(
        [lambda: slow_after_others("a"), lambda: slow_after_others("b")], rounds=3, warmups=1
    )

    assert all(timing.low_ms < 10 for timing in timings)


def test_what_is_slow_for_its_first_calls_after_another_does_not_show() -> None:
    """As a small network is, until all its weights are back in the caches."""
    last, turn = [""], [0]

    def slow_at_first(name: str) -> None:
        turn[0] = turn[0] + 1 if last[0] == name else 0
        last[0] = name
        time.sleep(0.0002 if turn[0] < 4 else 0)

    functions = [lambda: slow_at_first("a"), lambda: slow_at_first("b")]
    assert all(timing.low_ms < 0.2 for timing in interleave(functions, rounds=3, warmups=1))


@pytest.mark.slow
def test_a_small_file_is_as_fast_alone_as_in_company(tmp_path: Path) -> None:
    """Which is how the search measures one file of a network, and a finalist all of them."""
    device, facts = OnnxRuntime(), ImageFacts(16, 1, tuple("ab"), (0.5,), (0.25,))
    space = installed().create("space", "mobilenetv3", {"preset": "small"})
    network = space.build(space.suggest(RandomTrial(4)), facts, Classes(2)).eval()
    float_file = device.compile(network, torch.zeros(1, *facts.shape), tmp_path / "model")
    images = np.random.default_rng(0).normal(size=(32, *facts.shape)).astype(np.float32)
    context = CompressionContext(space, device, images, seed=0)
    int8 = Quantization().transform(float_file, {"scheme": "int8"}, context)
    reference_ms = device.calibrate(tmp_path)
    alone = [device.latencies([file], reference_ms, tmp_path)[0] for file in (float_file, int8)]
    together = device.latencies([float_file, int8], reference_ms, tmp_path)
    device.close()
    for one, other in zip(alone, together, strict=True):
        assert one.overlaps(other) or abs(one.ratio / other.ratio - 1) < 0.05
