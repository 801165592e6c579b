"""Looks at one network: rebuild a bundle, measure it or a published network, list those."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.bundle import read_facts, rebuild, verify
from orchestrator.candidate import Genotype
from orchestrator.contracts import Artifact, Device, Subject
from orchestrator.display import human, label, unit_of
from orchestrator.gate import host_gate
from orchestrator.networks import build_network, published_networks
from orchestrator.plugins import installed
from orchestrator.screen import Terminal, front_table

__all__ = ["list_networks", "measure_target", "rebuild_bundle"]


def rebuild_bundle(folder: Path) -> None:
    """Rebuild a finalist without pickle and print how it compares; raises RunError, ParityError."""
    network = rebuild(folder)
    found = verify(folder, _device("onnxruntime"))
    parameters = sum(p.numel() for p in network.parameters())
    print(f"{folder}: {type(network).__name__}, {human(parameters, '')} parameters")
    print(f"largest difference to the stored answers: {found.network_difference:.1e}")
    for name, difference in found.differences.items():
        print(f"largest difference of the {name} file: {difference:.1e}")
    for name, agreement in found.agreements.items():
        told = f"{human(agreement, 'share')} of noise images"
        print(f"the {name} file, an approximation, answers alike on {told}")
    print("the rebuilt network is the same function as the one that was shipped")


def measure_target(target: str, device_name: str, *, as_json: bool) -> None:
    """Print latency, size and both counters of a bundle or a published network."""
    device = _device(device_name)
    with tempfile.TemporaryDirectory(prefix="orchestrator-measure-") as folder:
        is_bundle = (Path(target) / "genotype.json").is_file()
        prepare = _bundle if is_bundle else _published
        subject, artifact = prepare(target, device, Path(folder))
        figures = {**_counts(subject), **_timed(device, artifact, Path(folder))}
    if as_json:
        print(json.dumps({"network": target, "device": dict(device.fingerprint()), **figures}))
        return
    for name, value in figures.items():
        text = value if isinstance(value, str) else human(value, unit_of(name))
        print(f"{label(name):<24}{text}")
    print(f"{'device':<24}{', '.join(device.fingerprint().values())}")


def list_networks(*, as_json: bool) -> None:
    """Print every published network."""
    rows = [asdict(row) for row in published_networks()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    shown = [
        {
            "network": row["name"],
            "parameters": human(row["params"], ""),
            "MACs": human(row["macs"], ""),
            "image": row["image_size"],
            "top-1": human(row["top1_percent"] / 100, "share") if row["top1_percent"] else "–",
            "source": row["source"].split(" | ")[0],
        }
        for row in rows
    ]
    Terminal().out.print(front_table(shown, list(shown[0])))


def _bundle(target: str, device: Device, folder: Path) -> tuple[Subject, Artifact]:
    import torch

    facts = read_facts(Path(target))
    network = rebuild(Path(target))
    genotype = Genotype.from_json(facts["genotype"])
    shape = (facts["in_channels"], facts["image_size"], facts["image_size"])
    if facts["recommended"] is None:  # a teacher: nothing was exported
        example = torch.zeros(1, *shape)
        artifact = device.compile(network, example, folder / "model", final=False)
    else:
        verify(Path(target))
        formats = {item["file"]: item["format"] for item in facts["artifacts"].values()}
        file = facts["recommended"]
        artifact = Artifact(Path(target) / file, formats[file])
    return Subject(genotype, network, shape, artifact=artifact), artifact


def _published(target: str, device: Device, folder: Path) -> tuple[Subject, Artifact]:
    import torch

    network, point = build_network(target)
    shape = (3, point.image_size, point.image_size)
    artifact = device.compile(network.eval(), torch.zeros(1, *shape), folder / "model", final=False)
    genotype = Genotype(target.partition("/")[0], "full", dict(point.choices))
    return Subject(genotype, network, shape, artifact=artifact), artifact


def _counts(subject: Subject) -> dict[str, Any]:
    """Parameters, and the multiply-adds of both counters with why they differ."""
    create = installed().create
    params = create("objective", "params", {}).measure(subject)
    macs = create("objective", "macs", {})
    explained: Mapping[str, Any] = macs.explain(subject)
    return {"params": params, "macs": macs.measure(subject), **explained}


def _timed(device: Device, artifact: Artifact, folder: Path) -> dict[str, float]:
    with host_gate().exclusive():
        reference_ms = device.calibrate(folder)
        (latency,) = device.latencies([artifact], reference_ms, folder)
    return {
        "size_bytes": artifact.size_bytes,
        "latency_ms": latency.ms,
        "latency_low_ms": latency.low_ms,
        "latency_median_ms": latency.median_ms,
        "latency_p95_ms": latency.high_ms,
    }


def _device(name: str) -> Device:
    device: Device = installed().create("device", name, {})
    device.check()
    return device
