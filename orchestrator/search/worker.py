"""What runs in Ray's workers: plain values in, plain values out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.config import StudyConfig, check_config
from orchestrator.contracts import Device
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.files import write_json, write_whole
from orchestrator.measuring.gate import Gate, host_gate
from orchestrator.plugins import installed
from orchestrator.records import Choices, Genotype, Record
from orchestrator.search.ends import traced
from orchestrator.search.nodes import sees_run

__all__ = [
    "check_candidate",
    "evaluate_candidate",
    "finish_candidate",
    "measure_again",
    "measure_shortlist",
    "measuring_devices",
    "prepare_estimator",
    "progress_of",
    "traces_file",
    "train_teacher",
]

_PROGRESS_SECONDS = 0.3


def evaluate_candidate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """One candidate of the search; its record also goes to the run's folder before it returns."""
    from orchestrator.candidate.evaluation import Rival, evaluate
    from orchestrator.estimators.rung import RungTraining
    from orchestrator.search.meter import measure_with

    folder = _run_folder(payload)
    factory = _factory(payload["config"], str(folder))
    rivals = [Rival(values, tuple(curve)) for values, curve in payload.get("rivals", [])]
    measure = measure_with(payload["meters"])
    proposal = (payload["number"], Genotype.from_json(payload["genotype"]))
    if "until" in payload:
        most = factory.assembly.estimator.most_images
        leg = RungTraining(payload["curve"], payload["until"], most)
        factory = factory.with_estimator(leg)
    with traced(traces_file(folder, payload["number"])):
        found = evaluate(proposal, rivals, factory, measure)
    record = _named(found, payload["choices"], payload["origin"])
    if len(record.curve) != payload.get("until") or record.outcome != "stopped":
        # The driver alone knows whether a candidate that paused at a rung goes on.
        _keep(record.to_json(), folder / "results", f"{record.number:04d}")
    return record.to_json()


def measure_shortlist(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Networks that nobody decided to train yet: a record each, of what is known untrained."""
    from orchestrator.candidate.evaluation import foresee
    from orchestrator.search.meter import measure_with

    factory = _factory(payload["config"], str(_run_folder(payload)))
    measure = measure_with(payload["meters"])
    found = []
    for told in payload["shortlist"]:
        record = foresee(Genotype.from_json(told["genotype"]), factory, measure)
        found.append(replace(record, choices=told["choices"]).to_json())
    return {"found": found}


def check_candidate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate trained further than its estimate; kept in the run's folder before it returns.

    `epochs` now, `total` with what it was trained further before.
    """
    from orchestrator.candidate.evaluation import evaluate
    from orchestrator.estimators.further import FurtherTraining
    from orchestrator.records import Check
    from orchestrator.search.meter import measure_with

    factory = _factory(payload["config"], str(_run_folder(payload)))
    further = factory.with_estimator(
        FurtherTraining(factory.assembly.estimator, int(payload["epochs"]))
    )
    before = Record.from_json(payload["record"])
    measure = measure_with(payload["meters"])
    record = evaluate((before.number, before.genotype), [], further, measure)
    record = _named(record, before.choices, before.origin)
    trained = record.curve[-1] if record.curve else 0.0
    macs = factory.macs(before.genotype.plain())
    check = Check(record, float(payload["estimated"]), trained, int(payload["total"]), macs)
    name = f"{record.number:04d}-{check.epochs:03d}"
    _keep(check.to_json(), Path(payload["folder"]) / "checks", name)
    return check.to_json()


def measure_again(payload: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Latencies of several candidates in one session: number → device → latency."""
    from orchestrator.candidate.remeasuring import remeasured
    from orchestrator.search.meter import measure_with

    factory = _factory(payload["config"], payload["folder"])
    asked = {int(n): Genotype.from_json(told) for n, told in payload["genotypes"].items()}
    measure = measure_with(payload["meters"], fresh=True)
    found = remeasured(asked, payload["devices"], factory, measure)
    return {str(n): {key: asdict(one) for key, one in each.items()} for n, each in found.items()}


def finish_candidate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """One network of the front: trained properly, compressed and exported."""
    from orchestrator.candidate.finalists import Elected, finish
    from orchestrator.contracts import Axis
    from orchestrator.search.meter import measure_with

    factory = _factory(payload["config"], str(_run_folder(payload)))
    measure = measure_with(payload["meters"], fresh=True)
    elected = Elected(
        Record.from_json(payload["record"]),
        [Axis(**axis) for axis in payload["axes"]],
        [Record.from_json(record) for record in payload["variants"]],
        payload["fingerprints"],
        [Genotype.from_json(genotype) for genotype in payload["teachers"]],
    )
    return finish(elected, factory, measure).to_json()


def train_teacher(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The network that others are distilled from."""
    from orchestrator.candidate.finalists import make_teacher

    factory = _factory(payload["config"], str(_run_folder(payload)))
    return make_teacher(Genotype.from_json(payload["genotype"]), factory)


def prepare_estimator(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the estimator is paid once; returns what the user should be told, and what it became."""
    factory = _factory(payload["config"], str(_run_folder(payload)))
    on_progress = _Progress(_progress_file(Path(payload["folder"])))
    context = replace(factory.estimation(), on_progress=on_progress)
    estimator = factory.assembly.estimator
    notes = list(estimator.prepare(context))
    approximate, foretells = estimator.approximates(context), estimator.foretells(context)
    return {"notes": notes, "approximate": approximate, "foretells": foretells}


def progress_of(folder: Path) -> float:
    """The share in [0, 1] of what is being prepared; 0 where nothing is known."""
    try:
        done, total = _progress_file(folder).read_text().split()
        return min(1.0, int(done) / int(total))
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0


def measuring_devices(payload: Mapping[str, Any]) -> tuple[dict[str, Device], Gate]:
    """All runtimes of those of a study's devices that are named, by seat, and this machine's gate.

    Raises DeviceError.
    """
    from orchestrator.candidate.devices import make_runtimes, seats

    config = _config(payload["config"])
    devices: dict[str, Device] = {}
    for name in payload["devices"]:
        devices |= seats(name, make_runtimes(config.device[name], installed()))
    for device in devices.values():
        device.check()
    return devices, host_gate()


def _named(record: Record, choices: Choices, origin: str) -> Record:
    """With what was chosen for the training; each variant has its own answers beside."""
    variants = [
        replace(variant, choices={**choices, **variant.choices}, origin=origin)
        for variant in record.variants
    ]
    return replace(record, choices=choices, origin=origin, variants=tuple(variants))


def _run_folder(payload: Mapping[str, Any]) -> Path:
    """The run's folder, or one of this process's own on a node that does not see that.

    What a candidate leaves there is lost then; its record travels by Ray.
    """
    folder = Path(payload["folder"])
    return folder if sees_run(folder, payload.get("mark")) else _stand_in(str(folder)).kept().path


@cache
def _stand_in(folder: str) -> WorkingFolder:
    return WorkingFolder("run")


class _Progress:
    """Leaves in a file how far something is, a few times a second at most."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < _PROGRESS_SECONDS and done < total:
            return
        self._told = now
        write_whole(self._path, f"{done} {total}")


def _progress_file(folder: Path) -> Path:
    return folder / "weights" / ".progress"


def traces_file(folder: Path, number: int) -> Path:
    """Where a candidate's process says of what it dies, while it lives."""
    return folder / "results" / f".{number:04d}.died"


@cache
def _factory(config: str, folder: str) -> Any:
    """Made once a worker: the dataset, the parts and the teacher stay loaded."""
    import torch

    from orchestrator.candidate.factory import Factory

    logging.getLogger().setLevel(logging.ERROR)
    checked = _config(config)
    torch.set_num_threads(checked.train.threads)
    return Factory(checked, Path(folder), host_gate(), installed())


def _config(text: str) -> StudyConfig:
    return check_config(json.loads(text))


def _keep(found: Mapping[str, Any], folder: Path, name: str) -> None:
    """Survive the driver: a resumed search reads what was finished but never told."""
    write_json(folder / f"{name}.json", dict(found))
