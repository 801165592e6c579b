"""A finalist's folder, written whole or not at all.

genotype.json      what rebuilds the network, what its images are, what the files must hash to
weights.safetensors  parameters and buffers
check.safetensors  `pixels` uint8 (N, C, H, W), seeded noise, and the network's `logits`
card.md            for people
model.onnx …       the device's files
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from orchestrator.bundle.card import card
from orchestrator.bundle.facts import FORMAT, sha256
from orchestrator.bundle.verifying import answer, verify
from orchestrator.contracts import Artifact, ImageFacts, Maps, Outputs, Usage
from orchestrator.errors import RunError
from orchestrator.records import Credit, Genotype
from orchestrator.training.left_out import left_out

__all__ = ["BundleContents", "write_bundle"]

_CHECK_IMAGES = 8


@dataclass(frozen=True)
class BundleContents:
    """What goes into a folder.

    `network` is trained and compressed. `artifacts` maps a label to a device's file or files,
    wherever they lie: what is `exact` must be the same function as `network`, others ("int8")
    approximate it; `recommended` is one of the labels, and `usage` says how its file is run.
    `figures` are JSON values for the card, `classes` those of each class, `ranges` what compressors
    learnt for one another. `outputs` are what the network answers, if not a logit for each class,
    `start` whom the weights it started from are owed to, if it did not start from noise.
    """

    genotype: Genotype
    network: nn.Module
    images: ImageFacts
    space_options: Mapping[str, Any] = field(default_factory=dict)
    task_options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Outputs | None = None
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    recommended: str = ""
    usage: Usage | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)
    start: Credit | None = None


def write_bundle(folder: Path, contents: BundleContents) -> Path:
    """Write `folder` and prove that it rebuilds; raises RunError or ParityError.

    Files are written to a sibling folder that then takes the place of `folder`; what else an
    existing `folder` holds is kept, and after an error it is as it was. `contents.network` is left
    in eval mode.
    """
    if contents.recommended and contents.recommended not in contents.artifacts:
        raise RunError(
            f"{contents.recommended!r} is recommended but the files are "
            f"{sorted(contents.artifacts) or 'none'}."
        )
    _check_names(contents.artifacts)
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    draft.mkdir(parents=True)
    try:
        _write_files(draft, contents)
        verify(draft)
        _take_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check_names(artifacts: Mapping[str, Artifact]) -> None:
    """Raise RunError where two files would take one place; a variant may be another's very file."""
    files = {file for artifact in artifacts.values() for file in artifact.files}
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise RunError(f"two different files are called {', '.join(sorted(twice))}; rename one.")


def _write_files(folder: Path, contents: BundleContents) -> None:
    weights = {name: tensor.cpu() for name, tensor in contents.network.state_dict().items()}
    _save(folder / "weights.safetensors", weights)
    images = contents.images
    shape = (_CHECK_IMAGES, *images.shape)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = torch.from_numpy(noise)
    logits = answer(contents.network.eval(), images.normalise(pixels)).cpu()
    _save(folder / "check.safetensors", {"pixels": pixels, "logits": logits})
    for artifact in contents.artifacts.values():
        for file in artifact.files:
            shutil.copyfile(file, folder / file.name)
    facts = _facts(contents)
    (folder / "card.md").write_text(card(facts), encoding="utf-8")
    facts["sha256"] = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (folder / "genotype.json").write_text(text + "\n", encoding="utf-8")


def _facts(contents: BundleContents) -> dict[str, Any]:
    recommended = contents.artifacts.get(contents.recommended)
    missing = left_out(contents.network)
    return {
        "format": FORMAT,
        "id": contents.genotype.key,
        "genotype": contents.genotype.to_json(),
        "space_options": dict(contents.space_options),
        "task_options": dict(contents.task_options),
        **vars(contents.images),
        "stride": contents.outputs.stride if isinstance(contents.outputs, Maps) else None,
        "recommended": recommended.path.name if recommended else None,
        "artifacts": {label: _entry(a) for label, a in contents.artifacts.items()},
        "usage": asdict(contents.usage) if contents.usage else None,
        "figures": dict(contents.figures),
        "class_figures": {name: dict(found) for name, found in contents.classes.items()},
        "versions": dict(contents.versions),
        "ranges": dict(contents.ranges),
        **({"start": contents.start.to_json()} if contents.start else {}),
        **({"left_out": missing} if missing else {}),
    }


def _entry(artifact: Artifact) -> dict[str, Any]:
    return {
        "file": artifact.path.name,
        "format": artifact.format,
        "exact": artifact.exact,
        "beside": [file.name for file in artifact.beside],
    }


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Tied parameters share memory, which the format refuses.
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(whole, path)


def _take_place(draft: Path, folder: Path) -> None:
    if not folder.exists():
        draft.rename(folder)
        return
    for path in folder.iterdir():
        if not (draft / path.name).exists():
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, draft / path.name)
    retired = folder.with_name(f".{folder.name}.retired")
    shutil.rmtree(retired, ignore_errors=True)
    folder.rename(retired)
    draft.rename(folder)
    shutil.rmtree(retired)
