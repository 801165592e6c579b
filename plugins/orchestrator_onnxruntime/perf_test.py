"""onnxruntime_perf_test, ONNX Runtime's own benchmark program, which its builds for Android have.

Its flags and words are those of onnxruntime/test/perftest in github.com/microsoft/onnxruntime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import NativeBenchmark, Timing

__all__ = ["PERF_TEST"]


def _arguments(file: str, runs: int, options: Mapping[str, Any]) -> Sequence[str]:
    """Random images (-I), whose open batch is then 1; one thread between operators."""
    threads = str(options["threads"])
    return ["-I", "-m", "times", "-r", str(runs), "-x", threads, "-y", "1", "-e", "cpu", file]


def _timing(printed: str) -> Timing:
    """Of lines such as "Min Latency: 0.0004 s" and "Total inference requests: 10"."""
    low, median, high = (_number(rf"{name} Latency", printed) for name in ("Min", "P50", "P95"))
    runs = int(_number("Total inference requests", printed))
    return Timing(1e3 * low, 1e3 * median, 1e3 * high, runs)


def _number(name: str, printed: str) -> float:
    found = re.search(rf"{name}: *([0-9.eE+-]+)", printed)
    if found is None:
        raise ValueError(f"no {name}")
    return float(found[1])


PERF_TEST = NativeBenchmark("onnxruntime_perf_test", _arguments, _timing)
