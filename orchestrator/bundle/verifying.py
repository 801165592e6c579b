"""Whether a finalist's files are those that were written, and answer as they did then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.bundle.facts import (
    artifact_of,
    beside,
    check_files,
    networks_of,
    read_facts,
    read_tensors,
)
from orchestrator.bundle.rebuilding import rebuild_one, task_of
from orchestrator.contracts import Artifact, Device, ImageFacts
from orchestrator.errors import ParityError, RunError
from orchestrator.plugins import Plugins, installed

__all__ = ["ANSWERS", "CHECK", "Verification", "answer", "verify"]

CHECK, ANSWERS = "check.safetensors", "answers.safetensors"

# Of the largest logit: what another runtime's order of additions costs is some 1e-6.
TOLERANCE = 1e-4
# Of the largest logit again: integer kernels of another processor round otherwise, which moves a
# logit by a few steps of the 255 of its range; kernels that saturate move it by far more.
MOST_DRIFT = 0.1


@dataclass(frozen=True)
class Verification:
    """What `verify` measured.

    `network_difference` and `differences` (by label, exact files only) are the largest difference
    of a logit; `agreements` are shares of answers that the task calls equal, by label. The images
    are noise, on which an approximation agrees less often than on photographs. `drifts` say how far
    each file's answers are from those that it gave where it was shipped, as a share of its largest
    logit; empty for a folder that does not keep them. `skipped` are files that no device ran.
    """

    network_difference: float
    differences: Mapping[str, float]
    agreements: Mapping[str, float]
    drifts: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def verify(
    folder: Path,
    device: Device | Mapping[str, Device] | None = None,
    *,
    labels: Collection[str] | None = None,
    plugins: Plugins | None = None,
) -> Verification:
    """Whether the files are those written and the functions are one.

    `device` runs the artifacts with these labels, by default all; of several, by the names of
    runtimes, each those that are its own. Without one they are only hashed. Space and task are
    those of `plugins`, by default of those installed. Raises RunError for a missing, damaged or
    changed file and ParityError where a function differs.
    """
    plugins = plugins or installed()
    facts = read_facts(folder)
    check_files(facts, folder)
    images = ImageFacts.from_json(facts)
    checks, apart = {}, [0.0]
    for name in networks_of(facts):
        checks[name] = check = _check(facts, folder, name)
        found = answer(rebuild_one(folder, facts, name, plugins), images.normalise(check["pixels"]))
        apart.append(_difference(found, check["logits"]))
        _check_parity("the rebuilt network", apart[-1], check["logits"])
    asked = {k: e for k, e in facts["artifacts"].items() if labels is None or k in labels}
    chosen = {label: _device_for(entry, device) for label, entry in asked.items()}
    runs = {label: runner for label, runner in chosen.items() if runner is not None}
    judged = _Judged(folder, facts, checks)
    task = task_of(facts, folder, plugins)
    results = {label: judged.of(label, run, task) for label, run in runs.items()}
    return Verification(
        max(apart),
        {k: r.difference for k, r in results.items() if r.difference is not None},
        {label: r.agreement for label, r in results.items()},
        {label: r.drift for label, r in results.items() if r.drift is not None},
        tuple(label for label in asked if device is not None and label not in runs),
    )


@torch.no_grad()
def answer(network: nn.Module, images: Tensor) -> Tensor:
    """float32 logits for normalised images, where the network is."""
    first = next(network.parameters())
    logits: Tensor = network(images.to(first))
    return logits.float()


@dataclass(frozen=True)
class _Result:
    """Of one file: see `Verification`."""

    agreement: float
    difference: float | None
    drift: float | None


class _Judged:
    """Files of one folder, each asked by its runtime."""

    def __init__(
        self, folder: Path, facts: Mapping[str, Any], checks: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        self._folder, self._facts, self._checks = folder, facts, checks
        # A folder of before there were answers tells of none.
        told = ANSWERS in facts["sha256"]
        self._answers = read_tensors(facts, folder, ANSWERS) if told else {}

    def of(self, label: str, device: Device, task: Any) -> _Result:
        """What a file answers now beside its network's answers, and its own of then."""
        check = self._checks[self._facts["artifacts"][label]["network"]]
        artifact = artifact_of(self._facts, label, self._folder)
        images = ImageFacts.from_json(self._facts).normalise(check["pixels"])
        logits = torch.from_numpy(_predict(device, artifact, images))
        difference = None
        if artifact.exact:
            difference = _difference(logits, check["logits"])
            _check_parity(artifact.path.name, difference, check["logits"])
        agreement = 1 - task.distance(logits, check["logits"])
        return _Result(agreement, difference, self._drift(label, artifact, logits))

    def _drift(self, label: str, artifact: Artifact, logits: Tensor) -> float | None:
        if label not in self._answers:
            return None
        then = self._answers[label]
        drift = _difference(logits, then) / (float(then.abs().max()) + 1e-12)
        # Written so that NaN fails too.
        if not drift <= MOST_DRIFT:
            raise ParityError(
                f"{artifact.path.name} answers otherwise than where it was shipped: a logit differs"
                f" by {100 * drift:.0f} % of the largest. Its runtime computes it differently here:"
                " compare versions and processor with card.md."
            )
        return drift


def _device_for(
    entry: Mapping[str, Any], device: Device | Mapping[str, Device] | None
) -> Device | None:
    if not isinstance(device, Mapping):
        return device
    if entry["runtime"]:
        return device.get(entry["runtime"])
    return next((d for d in device.values() if entry["format"] in d.formats), None)


def _check(facts: Mapping[str, Any], folder: Path, network: str) -> dict[str, Tensor]:
    name = beside(CHECK, network)
    check = read_tensors(facts, folder, name)
    if set(check) != {"pixels", "logits"}:
        raise RunError(f"{folder}/{name} holds {sorted(check)}, not pixels and logits.")
    return check


def _predict(device: Device, artifact: Artifact, images: Tensor) -> np.ndarray:
    for file in artifact.files:
        if not file.is_file():
            raise RunError(f"{file} is missing. Write the bundle again.")
    if artifact.format not in device.formats:
        raise RunError(
            f"{artifact.path.name} is {artifact.format}, but {device.name} reads "
            f"{', '.join(sorted(device.formats))}. Verify it on the device it was made for."
        )
    return device.predict(artifact, images.numpy())


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        raise ParityError(f"logits are {tuple(found.shape)}, expected {tuple(expected.shape)}.")
    return float((found - expected).abs().max())


def _check_parity(what: str, difference: float, logits: Tensor) -> None:
    allowed = TOLERANCE * float(logits.abs().max()) + 1e-6
    # Written so that NaN fails too.
    if not difference <= allowed:
        raise ParityError(
            f"{what} is not the same function as the network that was written: a logit differs by "
            f"{difference:.3g}, allowed {allowed:.3g}."
        )
