"""Whether a finalist's files are those that were written, and one function."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.bundle.facts import artifact_of, check_files, read_facts, read_tensors
from orchestrator.bundle.rebuilding import rebuild, task_of
from orchestrator.contracts import Artifact, Device, ImageFacts
from orchestrator.errors import ParityError, RunError
from orchestrator.plugins import Plugins, installed

__all__ = ["Verification", "answer", "verify"]

# Of the largest logit: what another runtime's order of additions costs is some 1e-6.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Verification:
    """What `verify` measured.

    `network_difference` and `differences` (by label, exact files only) are the largest difference
    of a logit; `agreements` are shares of answers that the task calls equal, by label. The images
    are noise, on which an approximation agrees less often than on photographs.
    """

    network_difference: float
    differences: Mapping[str, float]
    agreements: Mapping[str, float]


def verify(
    folder: Path,
    device: Device | None = None,
    *,
    labels: Collection[str] | None = None,
    plugins: Plugins | None = None,
) -> Verification:
    """Whether the files are those written and the functions are one.

    `device` runs the artifacts with these labels, by default all; without it they are only hashed.
    Space and task are those of `plugins`, by default of those installed.
    Raises RunError for a missing, damaged or changed file and ParityError where a function differs.
    """
    plugins = plugins or installed()
    facts = read_facts(folder)
    check_files(facts, folder)
    check = read_tensors(folder / "check.safetensors")
    if set(check) != {"pixels", "logits"}:
        raise RunError(f"{folder}/check.safetensors holds {sorted(check)}, not pixels and logits.")
    images = ImageFacts.from_json(facts).normalise(check["pixels"])
    difference = _difference(answer(rebuild(folder, plugins), images), check["logits"])
    _check_parity("the rebuilt network", difference, check["logits"])
    task, differences, agreements = task_of(facts, folder, plugins), {}, {}
    for label in facts["artifacts"] if device else ():
        if labels is not None and label not in labels:
            continue
        artifact = artifact_of(facts, label, folder)
        logits = torch.from_numpy(_predict(device, artifact, images))
        agreements[label] = 1 - task.distance(logits, check["logits"])
        if artifact.exact:
            differences[label] = _difference(logits, check["logits"])
            _check_parity(artifact.path.name, differences[label], check["logits"])
    return Verification(difference, differences, agreements)


@torch.no_grad()
def answer(network: nn.Module, images: Tensor) -> Tensor:
    """float32 logits for normalised images, where the network is."""
    first = next(network.parameters())
    logits: Tensor = network(images.to(first))
    return logits.float()


def _predict(device: Device | None, artifact: Artifact, images: Tensor) -> np.ndarray:
    assert device is not None
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
