"""What runs in Ray's workers: plain values in, plain values out."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.candidate import Genotype, Record
from orchestrator.config import StudyConfig, check_config
from orchestrator.contracts import Device
from orchestrator.errors import RunError
from orchestrator.gate import Gate, host_gate
from orchestrator.plugins import installed

__all__ = ["evaluate_candidate", "finish_candidate", "measuring_device", "train_teacher"]


def evaluate_candidate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """One candidate of the search; its record also goes to the run's folder before it returns."""
    from orchestrator.evaluation import Rival, evaluate
    from orchestrator.search.cluster import measure_with

    pipeline = _pipeline(payload["config"], payload["folder"])
    rivals = [Rival(values, tuple(curve)) for values, curve in payload.get("rivals", [])]
    measure = measure_with(payload["meter"], payload["reference_ms"])
    proposal = (payload["number"], Genotype.from_json(payload["genotype"]))
    record = evaluate(proposal, rivals, pipeline, measure)
    record = replace(record, choices=payload["choices"], origin=payload["origin"])
    _keep(record, Path(payload["folder"]) / "results")
    return record.to_json()


def finish_candidate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """One member of the front: trained properly, compressed and exported."""
    from orchestrator.finalists import finish
    from orchestrator.search.cluster import measure_with

    pipeline = _pipeline(payload["config"], payload["folder"])
    measure = measure_with(payload["meter"], payload["reference_ms"])
    return finish(Record.from_json(payload["record"]), pipeline, measure)


def train_teacher(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The network that others are distilled from."""
    from orchestrator.finalists import make_teacher

    pipeline = _pipeline(payload["config"], payload["folder"])
    return make_teacher(Genotype.from_json(payload["genotype"]), pipeline)


def measuring_device(payload: Mapping[str, Any]) -> tuple[Device, Gate]:
    """The device of a study and the gate of its machine; raises DeviceError."""
    chosen = _config(payload["config"]).device
    device: Device = installed().create("device", chosen.name, chosen.options)
    device.check()
    return device, host_gate()


@cache
def _pipeline(config: str, folder: str) -> Any:
    """Made once a worker: the dataset, the parts and the teacher stay loaded."""
    import torch

    from orchestrator.pipeline import Pipeline

    logging.getLogger().setLevel(logging.ERROR)
    checked = _config(config)
    torch.set_num_threads(checked.train.threads)
    return Pipeline(checked, Path(folder), host_gate())


def _config(text: str) -> StudyConfig:
    return check_config(json.loads(text))


def _keep(record: Record, folder: Path) -> None:
    """Survive the driver: a resumed search reads what was finished but never told."""
    try:
        _write(record, folder)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error}. Free some disk space, then resume the search."
        ) from error


def _write(record: Record, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / f"{record.number:04d}.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(record.to_json()))
    temporary.replace(path)
