"""A finalist's folder, written whole or not at all.

genotype.json      what rebuilds the network, what its images are, what the files must hash to
weights.safetensors  parameters and buffers
check.safetensors  `pixels` uint8 (N, C, H, W), seeded noise, and the network's `logits`
weights.unpruned.safetensors, check.unpruned.safetensors  the same of the network before pruning
answers.safetensors  what each file answered to those pixels where it was shipped, by label
card.md            for people
model.onnx …       the runtimes' files; one whose name is taken lies in a folder called as its label
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from orchestrator.bundle.card import card
from orchestrator.bundle.facts import FORMAT, beside, sha256
from orchestrator.bundle.verifying import ANSWERS, CHECK, answer, verify
from orchestrator.contracts import Artifact, ImageFacts, Maps, Outputs, PixelRecipe, Usage
from orchestrator.data import DataSummary
from orchestrator.errors import RunError
from orchestrator.files import replacing
from orchestrator.records import Choices, Credit, Genotype
from orchestrator.training.left_out import left_out

__all__ = ["BundleContents", "check_images", "write_bundle"]

_CHECK_IMAGES = 8


@dataclass(frozen=True)
class BundleContents:
    """What goes into a folder.

    `network` is trained and compressed, `earlier` are those that it was before, by name
    ("unpruned"). `artifacts` maps a label to a runtime's file or files, wherever they lie: what is
    `exact` must be the same function as its network, others ("int8") approximate it; `computed`
    names the network of those that are not of `network`, `runtimes` what executes each, `answers`
    are its logits for `check_images`. `recommended` is one of the labels, and `usage` says how its
    file is run; where there are several devices, `leads` says by device which label is for it, and
    `usages` how those files are run, by label. `figures` are JSON values for the card, `files`
    those of each file (JSON values of a `ShippedFile`), `classes` those of each class, `confusions`
    what is taken for what, `ranges` what compressors learnt for one another, `fingerprints` what
    latencies depend on, by device. `outputs` are what the network answers, if not a logit for each
    class, `start` whom the weights it started from are owed to, if it did not start from noise;
    `pixels` is how files become pixels and `data` what images there were, if that is known;
    `taught_by` are the keys of networks of the search that it learnt from beside the labels,
    `choices` what it was drawn with, by which a search that starts from it knows its parts.
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
    leads: Mapping[str, str] = field(default_factory=dict)
    usages: Mapping[str, Usage] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusions: Sequence[tuple[str, str, int]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)
    start: Credit | None = None
    earlier: Mapping[str, nn.Module] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Tensor] = field(default_factory=dict)
    files: Sequence[Mapping[str, Any]] = ()
    fingerprints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pixels: PixelRecipe | None = None
    data: DataSummary | None = None
    taught_by: Sequence[str] = ()
    choices: Choices = field(default_factory=dict)


def write_bundle(folder: Path, contents: BundleContents) -> Path:
    """Write `folder` and prove that it rebuilds; raises RunError or ParityError.

    Files are written to a sibling folder that then takes the place of `folder`; what else an
    existing `folder` holds is kept, and after an error it is as it was. `contents.network` is left
    in eval mode.
    """
    for label in filter(None, (contents.recommended, *contents.leads.values())):
        if label not in contents.artifacts:
            raise RunError(
                f"{label!r} is recommended but the files are "
                f"{sorted(contents.artifacts) or 'none'}."
            )
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


def check_images(images: ImageFacts) -> Tensor:
    """uint8 (N, C, H, W), seeded noise: the same for all networks that see such images."""
    shape = (_CHECK_IMAGES, *images.shape)
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def _places(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """By label the folder within the folder; empty unless another file has one of the names.

    A variant may be another's very file.
    """
    taken: dict[str, Path] = {}
    found = {}
    for label, artifact in artifacts.items():
        free = all(taken.get(file.name, file) == file for file in artifact.files)
        found[label] = "" if free else label
        if free:
            taken.update({file.name: file for file in artifact.files})
    return found


def _write_files(folder: Path, contents: BundleContents) -> None:
    _write_network(folder, "", contents.network, contents.images)
    for name, network in contents.earlier.items():
        _write_network(folder, name, network, contents.images)
    if contents.answers:
        _save(folder / ANSWERS, contents.answers)
    places = _places(contents.artifacts)
    for label, artifact in contents.artifacts.items():
        (folder / places[label]).mkdir(exist_ok=True)
        for file in artifact.files:
            shutil.copyfile(file, folder / places[label] / file.name)
    facts = _facts(contents, places)
    _write(folder / "card.md", card(facts))
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    facts["sha256"] = {path.relative_to(folder).as_posix(): sha256(path) for path in written}
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    _write(folder / "genotype.json", text + "\n")


def _write_network(folder: Path, name: str, network: nn.Module, images: ImageFacts) -> None:
    weights = {key: tensor.cpu() for key, tensor in network.state_dict().items()}
    _save(folder / beside("weights.safetensors", name), weights)
    pixels = check_images(images)
    logits = answer(network.eval(), images.normalise(pixels)).cpu()
    _save(folder / beside(CHECK, name), {"pixels": pixels, "logits": logits})


def _facts(contents: BundleContents, places: Mapping[str, str]) -> dict[str, Any]:
    missing = left_out(contents.network)
    return {
        "format": FORMAT,
        "id": contents.genotype.key,
        "genotype": contents.genotype.to_json(),
        "space_options": dict(contents.space_options),
        "task_options": dict(contents.task_options),
        **vars(contents.images),
        "stride": contents.outputs.stride if isinstance(contents.outputs, Maps) else None,
        "recommended": contents.recommended or None,
        "artifacts": {label: _entry(label, contents, places) for label in contents.artifacts},
        "usage": asdict(contents.usage) if contents.usage else None,
        "leads": dict(contents.leads),
        "usages": {label: asdict(usage) for label, usage in contents.usages.items()},
        "figures": dict(contents.figures),
        "files": [dict(file) for file in contents.files],
        "confusions": [list(found) for found in contents.confusions],
        "class_figures": {name: dict(found) for name, found in contents.classes.items()},
        "versions": dict(contents.versions),
        "measured_on": {name: dict(found) for name, found in contents.fingerprints.items()},
        "ranges": dict(contents.ranges),
        **({"pixels": contents.pixels.to_json()} if contents.pixels else {}),
        **({"data": contents.data.to_json()} if contents.data else {}),
        **({"start": contents.start.to_json()} if contents.start else {}),
        **({"left_out": missing} if missing else {}),
        **({"taught_by": list(contents.taught_by)} if contents.taught_by else {}),
        **({"choices": dict(contents.choices)} if contents.choices else {}),
    }


def _entry(label: str, contents: BundleContents, places: Mapping[str, str]) -> dict[str, Any]:
    artifact, place = contents.artifacts[label], places[label]
    within = [f"{place}/{file.name}" if place else file.name for file in artifact.files]
    return {
        "file": within[0],
        "format": artifact.format,
        "exact": artifact.exact,
        "beside": within[1:],
        "runtime": contents.runtimes.get(label, ""),
        "network": contents.computed.get(label, ""),
    }


def _write(path: Path, text: str) -> None:
    """A name that is not UTF-8, as a class' folder may have, becomes an escape that JSON reads."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Tied parameters share memory, which the format refuses.
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as part:  # what the library writes is private
        safetensors.torch.save_file(whole, part)


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
