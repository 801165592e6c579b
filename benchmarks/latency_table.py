"""How well latency is known without the device: a table of blocks against a line in multiply-adds.

    python benchmarks/latency_table.py [--image-size 64] [--blocks 60] [--fit 24] [--held-out 12]

For each of three families on CIFAR-sized images: the blocks of random networks are measured, and
some networks whole. Corrections of the sum of blocks, and the line, are fitted on the same networks
and judged by the same others, whose own blocks are not in the table unless another network has them
too. MAPE is the mean relative error, tau Kendall's between estimate and measurement.

"sum + base + calls" is what `objective.latency_ms.source=table` uses: a factor, a constant and a
constant for each block. "… + operators" has a constant for each layer that is called instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from orchestrator.candidate.factory import Factory
from orchestrator.candidate.latency_table import error_of, fitted
from orchestrator.candidate.table_building import Measured, Measurements, Sampling, collect
from orchestrator.cli.composing import compose
from orchestrator.measuring.gate import host_gate
from orchestrator.plugins import installed

Row = Callable[[Measured], list[list[float]]]


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    sampling = Sampling(given.blocks, given.fit, given.held_out)
    for family in given.families:
        config = compose([f"+search={family}", f"dataset.image_size={given.image_size}"])
        factory = Factory(config, Path("."), host_gate(), installed())
        _report(family, collect(factory, sampling, lambda done, total: None))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    families = ["mobilenetv3", "shufflenetv2", "efficientformer"]
    parser.add_argument("--families", nargs="+", default=families)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--fit", type=int, default=24)
    parser.add_argument("--held-out", type=int, default=12)
    return parser.parse_args()


def _report(family: str, found: Measurements) -> None:
    def sums(measured: Measured) -> list[list[float]]:
        totals = [found.table.sum(n) for n in measured.networks]
        return [[total.ms, 1.0, float(total.count)] for total in totals]

    def macs(measured: Measured) -> list[list[float]]:
        return [[1.0, count] for count in measured.macs]

    def by_operators(measured: Measured) -> list[list[float]]:
        return [
            [*row[:2], float(_layers(network))]
            for row, network in zip(sums(measured), measured.networks, strict=True)
        ]

    rows: dict[str, Row] = {
        "line in MACs": macs,
        "sum": lambda measured: [row[:1] for row in sums(measured)],
        "sum + base": lambda measured: [row[:2] for row in sums(measured)],
        "sum + base + calls": sums,
        "sum + base + operators": by_operators,
    }
    guessed = [found.table.sum(n).guessed for n in found.held_out.networks]
    ms = sorted([*found.fit.ms, *found.held_out.ms])
    print(
        f"{family}: {len(found.table.blocks)} blocks, networks of {ms[0]:.2f} to {ms[-1]:.2f} ms, "
        f"{sum(guessed) / len(guessed):.0%} of a held-out network's sum is of unmeasured blocks"
    )
    for name, row in rows.items():
        _print(name, row, found)


def _layers(network: nn.Module) -> int:
    return sum(not list(module.children()) for module in network.modules())


def _print(name: str, row: Row, found: Measurements) -> None:
    coefficients = fitted(row(found.fit), found.fit.ms)
    estimates: Sequence[float] = [float(coefficients @ r) for r in row(found.held_out)]
    error = error_of(estimates, found.held_out.ms)
    print(f"  {name:24} MAPE {error.mape:6.1%}  worst {error.worst:6.1%}  tau {error.tau:.2f}")


if __name__ == "__main__":
    main()
