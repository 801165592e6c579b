"""Times networks where they run: one file of the standard library, of Python 3.8 or later.

The file works alone. Copied to another machine beside a runtime's loader, and started there with
its standard input and output as the line to whoever asks, it measures as it does here. Each
request is one line of JSON, and so is its answer:

    {"op": "open", "loader": "loader.py", "options": {…}}   → {"answer": {"processor": …}}
    {"op": "time", "files": ["a", "b"], "rounds": 60}       → {"answer": [{"low_ms": …}, …]}
                                           what went wrong  → {"error": "…", "file": 1 or null}

A loader is a file with `facts(options)`, texts that a latency depends on, and
`load(path, options)`, an object whose `run()` does one batch-1 inference, everything loaded.

The protocol: noise drifts over seconds (host, frequency, neighbours), so what is compared is run
in turn, and each gets the minimum over the rounds. The turn before leaves the caches full of
another's weights, which makes a small network up to 1.8 times slower among eight others than
alone; so each turn begins with calls that are not timed. One is too few: a float network of 0.1 ms
stays 3 to 13 % slower beside its int8 file than without it, against 0 to 4 % after a millisecond
of calls. On a noisy two-core machine this repeats within 2 %, where a sequential mean is off by
25 to 75 %.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import queue
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["PROTOCOL", "Timing", "interleave", "machine", "serve"]

# Figures of two versions of the protocol are not compared; it rises with any change of them.
PROTOCOL = 3
# Into so many runs of consecutive rounds the rounds are split, to see how far a minimum wanders.
_PARTS = 6
# Calls before the one that is timed: at least one, and so many as this takes.
_WARM_NS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """Wall-clock times of one function over the rounds, milliseconds.

    `parts_ms` are the minima of six runs of consecutive rounds, or of each round if there are
    fewer: noise drifts, so neighbouring rounds see the same of it.
    """

    low_ms: float
    median_ms: float
    high_ms: float
    runs: int
    parts_ms: Sequence[float] = ()


def interleave(
    functions: Sequence[Callable[[], object]], *, rounds: int = 60, warmups: int = 4
) -> list[Timing]:
    """Time `functions` in turn, in the caller's thread.

    Each round calls each of them until a millisecond has passed, at least once, and times the next
    call; the first `warmups` rounds do not count. Cost: (rounds + warmups) × the sum of the times,
    each twice, or once and a millisecond.
    """
    samples: list[list[float]] = [[] for _ in functions]
    for turn in range(warmups + rounds):
        for function, times in zip(functions, samples):  # noqa: B905 (Python 3.10)
            _warm(function)
            start = time.perf_counter_ns()
            function()
            elapsed_ms = (time.perf_counter_ns() - start) / 1e6
            if turn >= warmups:
                times.append(elapsed_ms)
    return [_summary(times) for times in samples]


def _warm(function: Callable[[], object]) -> None:
    """Call it until the caches hold what it needs, as they would if it ran alone."""
    end = time.perf_counter_ns() + _WARM_NS
    function()
    while time.perf_counter_ns() < end:
        function()


def _summary(times: list[float]) -> Timing:
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Timing(ordered[0], statistics.median(ordered), high, len(ordered), _minima(times))


def _minima(times: list[float]) -> list[float]:
    parts = min(_PARTS, len(times))
    ends = [len(times) * part // parts for part in range(parts + 1)]
    return [min(times[start:end]) for start, end in zip(ends, ends[1:])]  # noqa: B905, RUF007


def machine() -> dict[str, str]:
    """What of this machine a latency depends on: processor, cores, architecture and system."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class _Refusal(Exception):
    """Something went wrong that whoever asked is told; `file` is which of the files it was."""

    def __init__(self, message: str, file: int | None = None) -> None:
        super().__init__(message)
        self.file = file


class _Service:
    """Answers one request after the other."""

    def __init__(self) -> None:
        self._loader: Any = None
        self._options: Mapping[str, Any] = {}

    def answer(self, request: Mapping[str, Any]) -> Any:
        """What a request asks for; raises _Refusal."""
        arguments = {name: value for name, value in request.items() if name != "op"}
        operations: dict[str, Callable[..., Any]] = {"open": self._open, "time": self._time}
        if request.get("op") not in operations:
            raise _Refusal(f"op {request.get('op')!r} is none of {', '.join(operations)}")
        return operations[request["op"]](**arguments)

    def _open(self, loader: str, options: Mapping[str, Any]) -> dict[str, str]:
        try:
            spec = importlib.util.spec_from_file_location("loader", loader)
            assert spec is not None and spec.loader is not None
            self._loader = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._loader)
            self._options = options
            return {**machine(), **self._loader.facts(options)}
        except Exception as error:
            raise _Refusal(f"{loader} does not load: {_told(error)}") from error

    def _time(self, files: Sequence[str], rounds: int) -> list[dict[str, float]]:
        functions = [self._loaded(number, file) for number, file in enumerate(files)]
        return [asdict(timing) for timing in interleave(functions, rounds=rounds)]

    def _loaded(self, number: int, file: str) -> Callable[[], object]:
        if self._loader is None:
            raise _Refusal("a loader must be opened first")
        try:
            run: Callable[[], object] = self._loader.load(file, self._options).run
            run()
        except Exception as error:
            raise _Refusal(_told(error), number) from error
        return run


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def serve() -> None:
    """Answer until standard input ends, which it does when whoever asks is no more.

    Another thread waits for the input, so that even in the middle of a measurement its end ends
    this process at once.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a runtime prints must not come between the answers
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    service = _Service()
    while True:
        line = requests.get()
        try:
            answer = {"answer": service.answer(json.loads(line))}
        except _Refusal as refusal:
            answer = {"error": str(refusal), "file": refusal.file}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "file": None}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    # What lies beside this file is no module of the runtime's.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    serve()
