"""Looks at searches and networks: plan of a run, picks; rebuilds, measures, counts networks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import MISSING, counted, human, label, unit_of
from orchestrator.bundle import artifact_of, is_bundle, read_facts, rebuild, verify
from orchestrator.bundle.images import told_of_images
from orchestrator.candidate.networks import (
    CountedNetwork,
    build_published,
    counted_networks,
    published_networks,
)
from orchestrator.cli.finalists import show_figures, show_paths
from orchestrator.cli.terminal import Terminal, figure_table
from orchestrator.contracts import Artifact, Device, Subject
from orchestrator.errors import DeviceError, PluginError, plural
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.gate import host_gate, quiet
from orchestrator.plugins import installed
from orchestrator.records import Genotype
from orchestrator.study import left_to_take, load
from orchestrator.study.picking import choose

__all__ = [
    "bundle_device",
    "list_networks",
    "measure_target",
    "pick",
    "plan_of_run",
    "rebuild_bundle",
]

_COLUMNS = ("network", "image", "parameters / published", "MACs / published", "top-1", "source")


def pick(
    folder: Path, most: Mapping[str, float], least: Mapping[str, float], *, as_json: bool
) -> None:
    """Print what of a search keeps the limits, its finalists first; raises BudgetError if none."""
    study = load(folder)
    entries = choose(study, most, least)
    if as_json:
        print(json.dumps(entries, indent=1))
        return
    shown = [
        {
            "candidate": entry["id"],
            **_placing(entry, several=len(study.config.device) > 1),
            "runtime": entry["runtime"] or "–",
            "steps": " → ".join(["trained", *entry["steps"]]),
            **_picked_figures(entry, study.units, study.leading),
            "picks": ", ".join(entry["picks"]) or "–",
        }
        for entry in entries
    ]
    out = Terminal().out
    show_figures(shown, out)
    lies = "not shipped yet: a candidate of the search"
    named = [" ".join(filter(None, (entry["id"], entry["label"]))) for entry in entries]
    show_paths([(n, e["file"] or lies) for n, e in zip(named, entries, strict=True)], out)


def _placing(entry: Mapping[str, Any], *, several: bool) -> dict[str, str]:
    """A file and, where there are several devices, its own, starred where it leads."""
    starred = [f"{name} ★" if name in entry["leads"] else name for name in entry["devices"]]
    device = {"device": ", ".join(starred) or MISSING} if several else {}
    return {"file": entry["label"] or MISSING, **device}


def _picked_figures(
    entry: Mapping[str, Any], units: Mapping[str, str], leading: str
) -> dict[str, str]:
    """Each objective as it is told, with its interval; a finalist's metrics are those on test."""
    found = {}
    for name, value in entry["values"].items():
        found[name] = human(value, units.get(name, ""))
        if name == leading:
            found[name] = counted(value, entry["test_images"])
        elif name in entry["intervals_ms"]:
            low, high = (human(ms, "ms") for ms in entry["intervals_ms"][name])
            found[name] += f" ({low.removesuffix(' ms')} to {high.removesuffix(' ms')})"
    validated = entry["validated"].get(leading)
    if entry["test_images"] and validated is not None:
        found[f"{leading} on validation"] = human(validated, "share")
    return found


def plan_of_run(folder: Path) -> None:
    """Print the plan of a search that was started, and what is left of it."""
    study = load(folder)
    Terminal().plan(study.config, study.plan)
    if left := left_to_take(study):
        print(left)


def rebuild_bundle(folder: Path, *, programs: bool = False) -> None:
    """Rebuild a finalist without pickle and print how it compares; raises RunError, ParityError.

    Its files are run by those of their runtimes that are installed; those that are programs, which
    could do anything, only where `programs` says so.
    """
    network = rebuild(folder)
    devices = _devices_of(folder, programs=programs)
    try:
        found = verify(folder, devices)
    finally:
        for device in devices.values():
            device.close()
    parameters = sum(p.numel() for p in network.parameters())
    print(f"{folder}: {type(network).__name__}, {human(parameters, '')} parameters")
    for text in told_of_images(folder):
        print(text)
    print(f"largest difference to the stored answers: {found.network_difference:.1e}")
    for name, difference in found.differences.items():
        print(f"largest difference of the {name} file: {difference:.1e}")
    for name, agreement in found.agreements.items():
        if name not in found.differences:
            told = f"{human(agreement, 'share')} of noise images"
            print(f"the {name} file, an approximation, answers its network alike on {told}")
    if found.drifts:
        most = max(found.drifts.values())
        print(f"files answer as where they were shipped, within {most:.1e} of the largest logit")
    for name in found.skipped:
        runtime = _runtime_of(read_facts(folder)["artifacts"][name])
        why = "its runtime is not installed here"
        if runtime is not None and installed().resolve("device", runtime).programs:
            why = "it is a program, which can do anything; rebuild --programs runs it"
        print(f"the {name} file was not run: {why}")
    print("the rebuilt network is the same function as the one that was shipped")


def measure_target(target: str, device_name: str | None = None, *, as_json: bool) -> None:
    """Print latency, size and both counters of a bundle or a published network.

    Without a name, the device is the first one installed, for a bundle the first that reads it.
    """
    bundled = is_bundle(Path(target)) or os.path.isdir(target)  # which says what is wrong with it
    device = _device(device_name) if device_name else _device_of(Path(target) if bundled else None)
    with WorkingFolder("measure") as folder, closing(device):
        prepare = _bundle if bundled else _published
        subject, artifact = prepare(target, device, folder)
        figures = {**_counts(subject), **_timed(device, artifact, folder)}
        fingerprint = dict(device.fingerprint())
    if as_json:
        print(json.dumps({"network": target, "device": fingerprint, **figures}))
        return
    for name, value in figures.items():
        text = value if isinstance(value, str) else human(value, unit_of(name))
        print(f"{label(name):<24}{text}")
    print(f"{'device':<24}{', '.join(fingerprint.values())}")


def list_networks(parts: Sequence[str], *, as_json: bool) -> None:
    """Count the published networks whose name holds one of `parts`, or all; print both figures."""
    rows, terminal = published_networks(parts), Terminal()
    with terminal.working(f"counting {plural(len(rows), 'network')}"):
        networks = list(counted_networks(rows))
    if as_json:
        print(json.dumps([_facts(network) for network in networks], indent=1))
        return
    terminal.out.print(figure_table([_shown(network) for network in networks], _COLUMNS))
    differing = sum(not network.agrees for network in networks)
    print(f"Counted: {len(networks)}. Different from what is published (≠): {differing}.")


def _facts(network: CountedNetwork) -> dict[str, Any]:
    """For JSON: `params` and `macs` are computed."""
    row = network.row
    return {
        "name": row.name,
        "family": row.family,
        "image_size": row.image_size,
        "params": network.params,
        "published_params": row.params,
        "macs": network.macs,
        "published_macs": row.macs,
        "top1_percent": row.top1_percent,
        "source": row.source,
    }


def _shown(network: CountedNetwork) -> dict[str, str]:
    row = network.row
    top1 = MISSING if row.top1_percent is None else human(row.top1_percent / 100, "share")
    params, macs = _compared(network.params, row.params), _compared(network.macs, row.macs)
    cells = (row.name, str(row.image_size), params, macs, top1, row.source)
    return dict(zip(_COLUMNS, cells, strict=True))


def _compared(computed: int, published: int | None) -> str:
    """To the unit where the two differ, as three digits may look the same."""
    if published is None:
        return f"{human(computed, '')} / {MISSING}"
    if published != computed:
        return f"{computed:,} ≠ {published:,}"
    return f"{human(computed, '')} / {human(published, '')}"


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
        network = rebuild(Path(target), label=facts["recommended"])
        artifact = artifact_of(facts, facts["recommended"], Path(target))
    return Subject(genotype, network, shape, artifact=artifact), artifact


def _published(target: str, device: Device, folder: Path) -> tuple[Subject, Artifact]:
    import torch

    network, point = build_published(target)
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
    with quiet(host_gate(), here=device.shares_host):
        reference_ms = device.calibrate(folder)
        (latency,) = device.latencies([artifact], reference_ms, folder)
    known = latency.interval_ms
    interval = {"latency_from_ms": known[0], "latency_to_ms": known[1]} if known else {}
    return {
        "size_bytes": artifact.size_bytes,
        "latency_ms": latency.ms,
        **interval,
        "latency_low_ms": latency.low_ms,
        "latency_median_ms": latency.median_ms,
        "latency_p95_ms": latency.high_ms,
    }


def bundle_device(bundle: Path, label: str, name: str) -> Device | None:
    """What runs one of a bundle's files, by default the recommended; None where it has none.

    `name` is an installed device, by default the first that reads the file. Raises PluginError.
    """
    facts = read_facts(bundle)
    chosen = label or facts["recommended"]
    if chosen is None:
        return None
    return _device(name) if name else _device_for(facts["artifacts"][chosen], bundle)


def _device_of(bundle: Path | None) -> Device:
    """The installed device for a bundle's recommended file; the first of all without one."""
    facts: Mapping[str, Any] = read_facts(bundle) if bundle else {"recommended": None}
    if facts["recommended"] is None:
        return _device(next(iter(installed().offered("device"))))
    return _device_for(facts["artifacts"][facts["recommended"]], bundle)


def _device_for(entry: Mapping[str, Any], bundle: Path | None) -> Device:
    """The installed device that runs a bundle's file; raises PluginError where there is none."""
    name = _runtime_of(entry)
    if name is None:
        offers = ", ".join(installed().offered("device")) or "none"
        raise PluginError(
            f"none of the installed devices ({offers}) runs {entry['file']} of {bundle}, which is "
            f"{entry['format']}. Install the plugin that does."
        )
    return _device(name)


def _devices_of(bundle: Path, *, programs: bool) -> dict[str, Device]:
    """By the names of runtimes those of a bundle's files that answer here."""
    found: dict[str, Device] = {}
    for entry in read_facts(bundle)["artifacts"].values():
        name = _runtime_of(entry)
        if name is not None and name not in found:
            if installed().resolve("device", name).programs and not programs:
                continue
            with suppress(DeviceError, PluginError):
                found[name] = _device(name)
    return found


def _runtime_of(entry: Mapping[str, Any]) -> str | None:
    """The installed runtime of a file: its own, or where it does not say one that reads it."""
    offered = {n: o for n, o in installed().offered("device").items() if not o.missing}
    if entry["runtime"]:
        return entry["runtime"] if entry["runtime"] in offered else None
    wanted = entry["format"]
    reads = (n for n in offered if wanted in installed().resolve("device", n).formats)
    return next(reads, None)


def _device(name: str) -> Device:
    device: Device = installed().create("device", name, {})
    device.check()
    return device
