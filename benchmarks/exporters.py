"""Which of torch's exporters writes the faster ONNX file, and at what cost.

    python benchmarks/exporters.py [--samples 2] [--sessions 3] [FAMILY …]

Random networks of each family's small preset are written by every exporter; all files of a network
are measured in one interleaved session of `Device.latencies`, `sessions` times. Printed for each
network: CPU seconds of each export, the medians over the sessions, and how many times as long each
file takes as the fastest; then the means over all networks.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from orchestrator_onnxruntime.runtime import OnnxRuntime

from orchestrator import Artifact, Classes, ImageFacts
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

EXPORTERS = ("torchscript", "dynamo")
CLASSES, CHANNELS, PIXELS = 10, 3, 32


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    families = arguments.families or sorted(installed().offered("space"))
    rows = []
    print(f"{'network':22}" + "".join(f"{name:>13} s{'ms':>8}{'×':>6}" for name in EXPORTERS))
    for family in families:
        for seed in range(arguments.samples):
            rows.append(_compared(family, seed, arguments.sessions))
    for place, name in enumerate(EXPORTERS):
        seconds = statistics.fmean(row[place][0] for row in rows)
        factors = [row[place][1] for row in rows]
        print(
            f"{name}: {seconds:.2f} CPU s an export; {statistics.fmean(factors):.3f} times the "
            f"fastest on average, {max(factors):.3f} at most"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("families", nargs="*", help="of networks; all by default")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=3)
    return parser.parse_args()


def _compared(family: str, seed: int, sessions: int) -> list[tuple[float, float]]:
    """(CPU seconds of the export, latency over the fastest) of each exporter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = _network(family, seed)
        written = [_written(exporter, network, folder / exporter) for exporter in EXPORTERS]
        device = OnnxRuntime()
        reference_ms = device.calibrate(folder)
        artifacts = [artifact for artifact, _ in written]
        found = [device.latencies(artifacts, reference_ms, folder) for _ in range(sessions)]
        device.close()
    times = [statistics.median(latency.ms for latency in one) for one in zip(*found, strict=True)]
    factors = [ms / min(times) for ms in times]
    cells = zip(written, times, factors, strict=True)
    shown = "".join(f"{cost:15.2f}{ms:8.3f}{factor:6.2f}" for (_, cost), ms, factor in cells)
    print(f"{family + ' ' + str(seed):22}{shown}", flush=True)
    return [(cost, factor) for (_, cost), factor in zip(written, factors, strict=True)]


def _network(family: str, seed: int) -> torch.nn.Module:
    space = installed().create("space", family, {"preset": "small"})
    torch.manual_seed(seed)
    network: torch.nn.Module = space.build(
        space.suggest(RandomTrial(seed)),
        ImageFacts.unnamed(PIXELS, in_channels=CHANNELS, classes=CLASSES),
        Classes(CLASSES),
    )
    return network.eval()


def _written(exporter: Any, network: torch.nn.Module, path: Path) -> tuple[Artifact, float]:
    """The file and the CPU seconds that it cost."""
    device = OnnxRuntime(exporter=exporter)
    start = time.process_time()
    artifact = device.compile(network, torch.zeros(1, CHANNELS, PIXELS, PIXELS), path)
    return artifact, time.process_time() - start


if __name__ == "__main__":
    main()
