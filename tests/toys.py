"""Small fakes of every contract: a tabulated space, a net of two layers, a device in memory."""

from __future__ import annotations

import copy
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from orchestrator import (
    ArraySamples,
    Artifact,
    Dataset,
    Device,
    Estimate,
    Estimator,
    Genotype,
    Latency,
    NetworkCompressor,
    Objective,
    Offer,
    hookimpl,
)
from orchestrator.errors import DeviceError, TrainingError
from orchestrator.records import Record

# plain: 4 widths; deep: 4 widths × 3 second widths.
SPACE_SIZE = 16
SMALLEST_PARAMS = 64 + 1 + 2 + 2


class ToyData(Dataset):
    name = "toy_data"
    classes = ("dark", "bright")
    image_size = 8
    in_channels = 1
    mean = (0.5,)
    deviation = (0.5,)

    def split(self, name: str) -> ArraySamples:
        labels = np.arange(32) % 2
        pixels = np.broadcast_to(labels[:, None, None, None] * 200, (32, 1, 8, 8))
        return ArraySamples(pixels.astype(np.uint8), labels)


class ToyDevice(Device):
    """Keeps networks in memory; a file is as long as its network has parameters."""

    name = "toy_device"
    formats = frozenset({"toy"})
    calls: ClassVar[list[str]] = []
    networks: ClassVar[dict[Path, Any]] = {}

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        self.calls.append(f"compile {path.name}")
        file = path.with_name(f"{path.name}.toy")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(sum(p.numel() for p in network.parameters())))
        self.networks[file] = copy.deepcopy(network).eval()
        return Artifact(file, "toy", exact=True)

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.networks[artifact.path](torch.from_numpy(images)).numpy()

    def fingerprint(self) -> Mapping[str, str]:
        return {"processor": "toy"}

    def runner(self, artifact: Artifact) -> Any:
        return lambda: None

    def reference(self, folder: Path) -> Artifact:
        return Artifact(folder / "reference", "toy")

    def calibrate(self, folder: Path) -> float:
        return 1.0

    def latencies(self, artifacts: Any, reference_ms: float, folder: Path) -> list[Latency]:
        return toy_latencies(artifacts)


def toy_latencies(artifacts: Sequence[Artifact], device: str = "") -> list[Latency]:
    """A millisecond for each hundred parameters."""
    ToyDevice.calls.append("measure")
    times = [artifact.size_bytes / 100 for artifact in artifacts]
    return [Latency(ms, ms, ms, ms, ms, 1) for ms in times]


class ToyEstimator(Estimator):
    """Pretends that each epoch gains a tenth; `fails` makes it raise."""

    name = "toy_train"

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    def estimate(self, network: Any, genotype: Genotype, context: Any) -> Estimate:
        ToyDevice.calls.append("train")
        if self.fails:
            raise TrainingError("the loss is nan")
        curve = []
        for epoch in range(1, context.train.epochs + 1):
            curve.append(0.1 * epoch)
            if context.on_epoch is not None and not context.on_epoch(epoch, curve[-1]):
                return Estimate(network, tuple(curve), stopped=epoch < context.train.epochs)
        return Estimate(network, tuple(curve))


class Halving(NetworkCompressor):
    """Replaces a plain network's hidden layer by one of half its width."""

    name = "halving"

    def __init__(self, *, always: bool = False) -> None:
        self.choices = [True] if always else [False, True]

    def suggest(self, trial: Any) -> dict[str, Any]:
        halve = trial.suggest_categorical("halving.halve", self.choices)
        return {"halve": True} if halve else {}

    def compress(self, network: Any, choices: Any, context: Any) -> Any:
        ToyDevice.calls.append("compress")
        first, last = network[1], network[-1]
        width = max(1, first.out_features // 2)
        layers = [nn.Linear(first.in_features, width), nn.Linear(width, last.out_features)]
        return nn.Sequential(nn.Flatten(), *layers)


class Odd(Objective):
    """Static; measures `value`, or raises where there is none."""

    name = "odd"
    unit = "points"
    direction = "minimize"
    tier = "static"

    def __init__(self, *, value: float | None = None) -> None:
        self.value = value

    def measure(self, subject: Any) -> float:
        ToyDevice.calls.append("odd")
        if self.value is None:
            raise RuntimeError("no such thing")
        return self.value


class ToyPlugin:
    @hookimpl
    def orchestrator_search_spaces(self) -> list[Offer]:
        return [Offer("toy", "orchestrator.testing.toys:ToySpace", "")]

    @hookimpl
    def orchestrator_datasets(self) -> list[Offer]:
        return [Offer("toy_data", "toys:ToyData", "")]

    @hookimpl
    def orchestrator_devices(self) -> list[Offer]:
        return [Offer("toy_device", "toys:ToyDevice", "")]

    @hookimpl
    def orchestrator_estimators(self) -> list[Offer]:
        return [Offer("toy_train", "toys:ToyEstimator", "")]

    @hookimpl
    def orchestrator_compressors(self) -> list[Offer]:
        return [Offer("halving", "toys:Halving", "")]

    @hookimpl
    def orchestrator_objectives(self) -> list[Offer]:
        return [Offer("odd", "toys:Odd", "")]


# What Ray's workers run in tests of the loop: "toys:tabulated" and its like.


def tabulated(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Known figures at once; `folder` keeps a file for each call."""
    _count(payload)
    time.sleep(payload.get("seconds", 0.0))
    widths = payload["genotype"]["architecture"]["widths"]
    over = max(0, sum(widths) - payload.get("most", 99))
    return Record(
        number=payload["number"],
        genotype=Genotype.from_json(payload["genotype"]),
        outcome="rejected" if over else "feasible",
        values={"params": float(sum(widths)), **({} if over else {"accuracy": widths[0] / 4})},
        violations={"params": float(over)} if over else {},
        choices=payload["choices"],
        origin=payload["origin"],
    ).to_json()


def timed(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Known figures, a millisecond for each unit of width."""
    record = Record.from_json(tabulated({**payload, "folder": None}))
    values = {**record.values, "latency_ms": record.values["params"]}
    return replace(record, values=values).to_json()


def foreseen(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A shortlist measured as by `timed`, more than 9 milliseconds over the budget."""
    found = []
    for told in payload["shortlist"]:
        ms = float(sum(told["genotype"]["architecture"]["widths"]))
        record = Record(-1, Genotype.from_json(told["genotype"]), "stopped", {"latency_ms": ms})
        if ms > 9:
            over = {"latency_ms": ms - 9.0}
            record = replace(record, outcome="rejected", violations=over, extra={"foreseen": True})
        found.append(replace(record, choices=told["choices"]).to_json())
    return {"found": found}


def unforeseen(payload: Mapping[str, Any]) -> dict[str, Any]:
    raise ValueError("no such kernel")


def fragile(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The second candidate raises, the third kills its process, then one ends it, one asks to."""
    nth = payload.get("nth", _nth(payload))
    if nth == 1:
        raise ValueError("one and no more")
    if nth == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if nth == 3:
        os._exit(3)
    if nth == 4:
        sys.exit(3)
    return tabulated({**payload, "folder": None})


def killed_once(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The second call kills its process, as the kernel does for want of memory."""
    if _count(payload) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return tabulated({**payload, "folder": None})


def slow_second(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The second candidate never answers."""
    (Path(payload["folder"]) / str(payload["number"])).touch()
    if _nth(payload) == 1:
        time.sleep(600)
    return tabulated({**payload, "folder": None})


def unplugged(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The device is gone from the third call on."""
    if _count(payload) >= 2:
        raise DeviceError("the board does not answer")
    return tabulated({**payload, "folder": None})


def _count(payload: Mapping[str, Any]) -> int:
    """How many calls there were before this one."""
    if payload["folder"] is None:
        return 0
    folder = Path(payload["folder"])
    before = len(list(folder.iterdir()))
    (folder / f"{payload['number']}-{time.monotonic_ns()}").touch()
    return before


def _nth(payload: Mapping[str, Any]) -> int:
    """How many candidates there were before this one; it may be called again."""
    _count(payload)
    called = {int(path.name.partition("-")[0]) for path in Path(payload["folder"]).iterdir()}
    return len(called - {payload["number"]})
