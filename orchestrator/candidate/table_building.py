"""Builds a latency table: blocks and whole networks of a space, measured on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from orchestrator.candidate.blocks import Block, blocks_of
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.latency_table import BlockTime, LatencyTable, Sum, error_of, fitted
from orchestrator.contracts import Artifact, Device, Runtime
from orchestrator.errors import CandidateError, CompileError, ConfigError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.agent import PROTOCOL
from orchestrator.measuring.gate import quiet
from orchestrator.training.building import draw_plain
from orchestrator.trials import RandomTrial, apart

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Measured", "Measurements", "Sampling", "build_table", "collect"]

# Files that are loaded at once, in one session.
_SESSION = 40
_TRIES = 20


@dataclass(frozen=True)
class Sampling:
    """How many random networks give blocks, are measured whole to fit on, and to be judged by.

    The blocks of those that judge are not in the table unless others have them too.
    """

    blocks: int = 60
    fit: int = 24
    held_out: int = 12


@dataclass(frozen=True)
class Measured:
    """Whole networks, the multiply-adds of each and its milliseconds."""

    networks: Sequence[nn.Module]
    macs: Sequence[float]
    ms: Sequence[float]


@dataclass(frozen=True)
class Measurements:
    """A table of blocks alone, networks to fit its correction on, and others to judge it by."""

    table: LatencyTable
    fit: Measured
    held_out: Measured


class _Builder:
    """Compiles below `folder` and measures on the first device."""

    def __init__(self, factory: Factory, folder: Path, progress: Callable[[int, int], None]):
        self.factory = factory
        self.device: Device = factory.assembly.device
        self.shape = factory.assembly.facts.shape
        self.folder = folder
        self._progress = progress
        with quiet(factory.gate, here=self.device.shares_host):
            self.reference_ms = self.device.calibrate(folder)

    def networks(self, count: int, first: int) -> Iterator[nn.Module]:
        """Random ones; those that cannot be built are left out and others drawn."""
        for number in range(first, first + count):
            yield self._network(number)

    def _network(self, number: int) -> nn.Module:
        assembly, seed = self.factory.assembly, self.factory.config.run.seed
        for again in range(_TRIES):
            trial = RandomTrial(apart(seed, number + 10_000 * again))
            genotype = draw_plain(assembly.space, assembly.task, trial)
            try:
                return self.factory.build(genotype).eval()
            except CandidateError as error:
                refused = error
        raise refused

    def measured(self, networks: Sequence[nn.Module]) -> Measured:
        """Each compiled and measured whole."""
        artifacts = []
        for number, network in enumerate(networks):
            artifacts.append(self._compiled(network, self.shape, f"network-{number}"))
        macs = [self.factory.macs_of(network) for network in networks]
        return Measured(list(networks), macs, self._times(artifacts))

    def blocks(self, found: Mapping[str, Block]) -> dict[str, BlockTime]:
        """Each block that compiles alone, by its key."""
        kept, artifacts = [], []
        for number, (key, block) in enumerate(found.items()):
            self._progress(number, 2 * len(found))
            try:
                artifacts.append(self._compiled(block.module, block.shape, key))
            except CompileError:
                continue  # it is guessed from the others
            kept.append(block)
        times = self._times(artifacts)
        self._progress(1, 1)
        return {
            block.key: BlockTime(ms, block.layers) for block, ms in zip(kept, times, strict=True)
        }

    def _compiled(self, module: nn.Module, shape: Sequence[int], name: str) -> Artifact:
        with self.factory.gate.shared():
            example = torch.zeros(1, *shape)
            return self.device.compile(module, example, self.folder / name, final=False)

    def _times(self, artifacts: Sequence[Artifact]) -> list[float]:
        times: list[float] = []
        for first in range(0, len(artifacts), _SESSION):
            some = artifacts[first : first + _SESSION]
            with quiet(self.factory.gate, here=self.device.shares_host):
                found = self.device.latencies(some, self.reference_ms, self.folder)
            times += [latency.ms for latency in found]
        return times


def build_table(
    factory: Factory,
    sampling: Sampling | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyTable:
    """Measure a space's blocks, fit the correction and judge it; costs a minute or a few.

    Raises ConfigError for a device without a protocol, DeviceError and CandidateError.
    """
    found = collect(factory, sampling or Sampling(), progress)
    fitting = _fitted(found.table, found.fit)
    return _judged(fitting, found)


def collect(
    factory: Factory, sampling: Sampling, progress: Callable[[int, int], None]
) -> Measurements:
    """All that is measured for a table; raises as `build_table`."""
    device = factory.assembly.device
    if not isinstance(device, Runtime):
        raise ConfigError(
            f"device={device.name} is no runtime at a place, so there is no protocol to build a "
            "latency table by; choose another device."
        )
    with WorkingFolder("table") as folder, closing(device):
        builder = _Builder(factory, folder, progress)
        whole = list(builder.networks(sampling.fit + sampling.held_out, 0))
        fit = builder.measured(whole[: sampling.fit])
        held_out = builder.measured(whole[sampling.fit :])
        more = builder.networks(max(0, sampling.blocks - sampling.fit), len(whole))
        found = {
            block.key: block
            for network in (*fit.networks, *more)
            for block in blocks_of(network, builder.shape)
        }
        table = LatencyTable(
            space=factory.assembly.space.name,
            device=device.name,
            options=dict(device.options),
            fingerprint=dict(device.fingerprint()),
            protocol=PROTOCOL,
            image_shape=tuple(builder.shape),
            reference_ms=builder.reference_ms,
            blocks=builder.blocks(found),
        )
    return Measurements(table, fit, held_out)


def _sums(table: LatencyTable, measured: Measured) -> list[Sum]:
    return [table.sum(network) for network in measured.networks]


def _fitted(table: LatencyTable, fit: Measured) -> LatencyTable:
    rows = [[1.0, found.ms, float(found.count)] for found in _sums(table, fit)]
    base, factor, each = (float(value) for value in fitted(rows, fit.ms))
    return replace(table, base_ms=base, factor=factor, each_ms=each, fitted_on=len(fit.ms))


def _judged(table: LatencyTable, found: Measurements) -> LatencyTable:
    fit, judged = found.fit, found.held_out
    line = fitted([[1.0, macs] for macs in fit.macs], fit.ms)
    by_macs = [float(line @ [1.0, macs]) for macs in judged.macs]
    by_table = [table.corrected(total) for total in _sums(table, judged)]
    return replace(
        table,
        held_out=len(judged.ms),
        error=error_of(by_table, judged.ms),
        macs_error=error_of(by_macs, judged.ms),
    )
