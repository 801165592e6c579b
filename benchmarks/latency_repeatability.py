"""How well latency repeats while a neighbour works: our protocol against the usual one.

    python benchmarks/latency_repeatability.py [--repeats 6] [--networks 8] [--hogs 1]

Some ONNX networks that differ by about ten per cent each are measured `repeats` times in two ways,
in turn, while `hogs` processes keep a core busy each. Ours: `Device.latencies`, all networks and
the reference in turn, the minimum, in units of the reference. Usual: one network after another,
the mean or median of as many calls. The coefficient of variation (deviation over mean of a
network's repeats, averaged over networks) says how far a figure wanders; Kendall's tau between
repeats (1 = the same order) says whether it can rank.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from orchestrator_onnxruntime.runtime import OnnxRuntime
from scipy.stats import kendalltau
from torch import nn

from orchestrator import Artifact

CALLS = 60
WARMUPS = 4
Repeats = list[list[float]]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    device = OnnxRuntime()
    with tempfile.TemporaryDirectory() as name, _busy(arguments.hogs):
        folder = Path(name)
        artifacts = [_artifact(device, folder, number) for number in range(arguments.networks)]
        reference_ms = device.calibrate(folder)
        ours, means, medians = [], [], []
        for _ in range(arguments.repeats):
            found = device.latencies(artifacts, reference_ms, folder)
            ours.append([latency.ms for latency in found])
            samples = [_sequential(device.runner(artifact)) for artifact in artifacts]
            means.append([statistics.fmean(times) for times in samples])
            medians.append([statistics.median(times) for times in samples])
        device.close()
    _report({"ours": ours, "sequential mean": means, "sequential median": medians})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--hogs", type=int, default=1, help="processes that keep a core busy")
    return parser.parse_args()


def _artifact(device: OnnxRuntime, folder: Path, number: int) -> Artifact:
    """(B, 3, 32, 32) → (B, 10); each network has about a tenth more to do than the one before."""
    torch.manual_seed(number)
    width = round(48 * 1.05**number)
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return device.compile(nn.Sequential(*layers), torch.zeros(1, 3, 32, 32), folder / f"{number}")


def _sequential(run: Callable[[], object]) -> list[float]:
    times = []
    for turn in range(WARMUPS + CALLS):
        start = time.perf_counter_ns()
        run()
        if turn >= WARMUPS:
            times.append((time.perf_counter_ns() - start) / 1e6)
    return times


@contextmanager
def _busy(hogs: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, daemon=True) for _ in range(hogs)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()


def _work() -> None:
    """Busy and idle by turns of up to a second, as a neighbour's training is."""
    for turn in itertools.count():
        end = time.monotonic() + 0.2 + 0.8 * (turn * 0.618 % 1)
        while time.monotonic() < end:
            sum(range(1000))
        time.sleep(0.1)


def _report(results: dict[str, Repeats]) -> None:
    print(f"{'protocol':20} {'variation':>10} {'tau':>6}")
    variations = {}
    for name, repeats in results.items():
        variations[name] = _variation(repeats)
        print(f"{name:20} {variations[name]:9.1%} {_tau(repeats):6.2f}")
    for name in ("sequential mean", "sequential median"):
        ratio = variations[name] / variations["ours"]
        print(f"a {name} wanders {ratio:.1f}x as far as ours")


def _variation(repeats: Repeats) -> float:
    columns = list(zip(*repeats, strict=True))
    return statistics.fmean(statistics.stdev(c) / statistics.fmean(c) for c in columns)


def _tau(repeats: Sequence[Sequence[float]]) -> float:
    pairs = itertools.combinations(repeats, 2)
    return statistics.fmean(float(kendalltau(a, b).statistic) for a, b in pairs)


if __name__ == "__main__":
    main()
