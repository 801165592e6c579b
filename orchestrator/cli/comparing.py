"""Networks and bundles beside one another, on several devices: one table of latencies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import MISSING, human
from orchestrator.bundle import artifact_of, is_bundle, read_facts, rebuild, verify
from orchestrator.candidate.devices import make_runtimes, settle_device
from orchestrator.candidate.networks import build_published
from orchestrator.cli.terminal import Terminal, figure_table
from orchestrator.config import DeviceConfig
from orchestrator.contracts import Artifact, Device, Latency
from orchestrator.errors import CandidateError, CompileError, DeviceError, OrchestratorError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.gate import host_gate, quiet
from orchestrator.plugins import installed

__all__ = ["compare", "made_devices"]


@dataclass(frozen=True)
class _Row:
    """A network or a file; `make` gives what a device runs of it, or raises CandidateError."""

    name: str
    make: Callable[[Device, Path], Artifact]


@dataclass(frozen=True)
class _Cell:
    """A row on a device: a latency, or why there is none."""

    latency: Latency | None = None
    size_bytes: int = 0
    error: str = ""


@dataclass(frozen=True)
class _Column:
    """A device, what it says of itself, and its cells from top to bottom."""

    fingerprint: Mapping[str, str]
    cells: Sequence[_Cell]


def made_devices(configured: Mapping[str, DeviceConfig]) -> dict[str, Device]:
    """Every runtime of every device, the device's name before it where there are several.

    Raises UsageError.
    """
    found: dict[str, Device] = {}
    for key, item in configured.items():
        runtimes = make_runtimes(settle_device(key, item, installed(), []), installed())
        several = len(runtimes) > 1
        found |= {f"{key}/{name}" if several else key: one for name, one in runtimes.items()}
    return found


def compare(targets: Sequence[str], devices: Mapping[str, Device], *, as_json: bool) -> None:
    """Print each target's latency on each device; closes them. Raises UsageError for a target.

    What cannot be measured is told cell by cell; raises DeviceError where nothing could be.
    """
    columns: dict[str, _Column] = {}
    made: list[tuple[Device, dict[str, Artifact]]] = []
    with WorkingFolder("measure") as folder:
        rows = [row for target in targets for row in _rows(target)]
        for number, (name, device) in enumerate(devices.items()):
            place = folder / str(number)
            place.mkdir()
            columns[name] = _column(device, rows, made, place)
    if as_json:
        print(json.dumps(_told(rows, columns), indent=1))
    else:
        _show(rows, columns)
    if not any(cell.latency for column in columns.values() for cell in column.cells):
        raise DeviceError("nothing could be measured; the reasons are above.")


def _rows(target: str) -> Iterator[_Row]:
    import torch

    if not (is_bundle(Path(target)) or os.path.isdir(target)):
        network, point = build_published(target)
        example = torch.zeros(1, 3, point.image_size, point.image_size)
        yield _Row(target, lambda device, path: device.compile(network.eval(), example, path))
        return
    yield from _rows_of_bundle(Path(target))


def _rows_of_bundle(folder: Path) -> Iterator[_Row]:
    """One a network, for its exact files or compiled anew, and one for each other file."""
    facts = read_facts(folder)
    if facts["artifacts"]:
        verify(folder)
    files = facts["artifacts"]
    exact = {label: entry for label, entry in files.items() if entry["exact"]}
    networks = {entry.get("network", ""): label for label, entry in reversed(exact.items())}
    for network, label in networks.items() if networks else [("", "")]:
        own = [key for key, entry in exact.items() if entry.get("network", "") == network]
        yield _Row(f"{folder} {label}".strip(), _exact(folder, facts, own))
    for label in (label for label in files if label not in exact):
        yield _Row(f"{folder} {label}", _shipped(artifact_of(facts, label, folder)))


def _exact(
    folder: Path, facts: Mapping[str, Any], labels: Sequence[str]
) -> Callable[[Device, Path], Artifact]:
    """The shipped file that a device reads, else the network compiled for it."""
    import torch

    shape = (1, facts["in_channels"], facts["image_size"], facts["image_size"])

    def make(device: Device, path: Path) -> Artifact:
        for label in labels:
            if facts["artifacts"][label]["format"] in device.formats:
                return artifact_of(facts, label, folder)
        network = rebuild(folder, label=labels[0] if labels else "")
        return device.compile(network, torch.zeros(shape), path)

    return make


def _shipped(artifact: Artifact) -> Callable[[Device, Path], Artifact]:
    def make(device: Device, path: Path) -> Artifact:
        if artifact.format not in device.formats:
            reads = ", ".join(sorted(device.formats))
            raise CompileError(f"{artifact.path.name} is {artifact.format}, it reads {reads}")
        return artifact

    return make


def _column(
    device: Device,
    rows: Sequence[_Row],
    made: list[tuple[Device, dict[str, Artifact]]],
    folder: Path,
) -> _Column:
    """All rows in one session, so that they can be compared; each alone where one breaks it."""
    cells: dict[str, _Cell] = {}
    try:
        device.check()
        fingerprint = dict(device.fingerprint())
        artifacts = _artifacts(device, rows, made, cells, folder)
        with quiet(host_gate(), here=device.shares_host):
            reference_ms = device.calibrate(folder)
            cells |= _measured(device, artifacts, reference_ms, folder)
    except OrchestratorError as error:
        return _Column({}, [_Cell(error=str(error)) for _ in rows])
    finally:
        device.close()
    return _Column(fingerprint, [cells[row.name] for row in rows])


def _artifacts(
    device: Device,
    rows: Sequence[_Row],
    made: list[tuple[Device, dict[str, Artifact]]],
    cells: dict[str, _Cell],
    folder: Path,
) -> dict[str, Artifact]:
    """What the device runs, by row; compiled once for all that compile alike."""
    alike = next((files for other, files in made if device.compiles_like(other)), {})
    found: dict[str, Artifact] = {}
    for number, row in enumerate(rows):
        try:
            found[row.name] = alike.get(row.name) or row.make(device, folder / f"network{number}")
        except CandidateError as error:
            cells[row.name] = _Cell(error=str(error))
    made.append((device, found))
    return found


def _measured(
    device: Device, artifacts: Mapping[str, Artifact], reference_ms: float, folder: Path
) -> dict[str, _Cell]:
    if not artifacts:
        return {}
    try:
        found = device.latencies(list(artifacts.values()), reference_ms, folder)
    except CompileError as error:
        if len(artifacts) == 1:
            return dict.fromkeys(artifacts, _Cell(error=str(error)))
        alone = [_measured(device, {n: a}, reference_ms, folder) for n, a in artifacts.items()]
        return {name: cell for cells in alone for name, cell in cells.items()}
    pairs = zip(artifacts.items(), found, strict=True)
    return {name: _Cell(latency, artifact.size_bytes) for (name, artifact), latency in pairs}


def _told(rows: Sequence[_Row], columns: Mapping[str, _Column]) -> dict[str, Any]:
    """For JSON: `ratio_to_best` is to the network's best device."""
    found = []
    for number, row in enumerate(rows):
        best = _best(number, columns)
        cells = {name: column.cells[number] for name, column in columns.items()}
        found.append({"network": row.name, "on": {n: _facts(c, best) for n, c in cells.items()}})
    return {"devices": {n: dict(c.fingerprint) for n, c in columns.items()}, "networks": found}


def _facts(cell: _Cell, best: float) -> dict[str, Any]:
    if cell.latency is None:
        return {"error": cell.error}
    return {
        "latency_ms": cell.latency.ms,
        "interval_ms": cell.latency.interval_ms,
        "ratio_to_best": cell.latency.ms / best,
        "size_bytes": cell.size_bytes,
        "latency": asdict(cell.latency),
    }


def _best(number: int, columns: Mapping[str, _Column]) -> float:
    latencies = [column.cells[number].latency for column in columns.values()]
    return min((latency.ms for latency in latencies if latency), default=float("nan"))


def _show(rows: Sequence[_Row], columns: Mapping[str, _Column]) -> None:
    shown = [
        {"network": row.name}
        | {name: _cell(c.cells[number], _best(number, columns)) for name, c in columns.items()}
        for number, row in enumerate(rows)
    ]
    Terminal().out.print(figure_table(shown, ["network", *columns]))
    for name, column in columns.items():
        errors = {row.name: c.error for row, c in zip(rows, column.cells, strict=True) if c.error}
        if len(set(errors.values())) == 1 and len(errors) == len(rows):
            errors = {"": next(iter(errors.values()))}
        for network, error in errors.items():
            print(f"{name}{', ' if network else ''}{network}: {error}")
        if column.fingerprint:
            print(f"{name}: {', '.join(column.fingerprint.values())}")


def _cell(cell: _Cell, best: float) -> str:
    """Such as "1.23 ms (1.20 to 1.31) ×1.00": the interval, and the ratio to the row's best."""
    if cell.latency is None:
        return MISSING
    text = human(cell.latency.ms, "ms")
    if interval := cell.latency.interval_ms:
        low, high = (human(ms, "ms").removesuffix(" ms") for ms in interval)
        text += f" ({low} to {high})"
    return f"{text} ×{cell.latency.ms / best:.2f}"
