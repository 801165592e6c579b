"""The command `table`: blocks of a space, measured on its device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.candidate.factory import Factory
from orchestrator.candidate.latency_table import table_path
from orchestrator.candidate.table_building import Sampling, build_table
from orchestrator.cli.terminal import Terminal
from orchestrator.config import StudyConfig
from orchestrator.errors import ConfigError, plural
from orchestrator.measuring.gate import host_gate
from orchestrator.plugins import installed

__all__ = ["build_tables"]

_LEAST = (1, 4, 3)


def build_tables(
    configs: Sequence[StudyConfig], sizes: tuple[int, int, int], target: Path | None
) -> None:
    """Build one for each configuration, tell how good it is and where it lies.

    `sizes` are networks that give blocks, are fitted on, and judge; raises ConfigError.
    """
    names = ("blocks", "fit", "held-out")
    for name, size, least in zip(names, sizes, _LEAST, strict=True):
        if size < least:
            raise ConfigError(f"--{name} is {size}, expected {least} or more.")
    if target is not None and len(configs) > 1:
        raise ConfigError(f"--to names one file, found {plural(len(configs), 'search')}.")
    for config in configs:
        factory = Factory(config, Path("."), host_gate(), installed())
        path = target or table_path(factory.assembly)
        with Terminal().working(f"measuring blocks of {config.space.name}"):
            table = build_table(factory, Sampling(*sizes))
        table.write(path)
        print(f"{table.told}.")
        print(f"Table: {path}")
