"""A finalist's folder: written whole or not at all, rebuilt without pickle, verified.

    genotype.json      what rebuilds the network, what its images are, what the files must hash to
    weights.safetensors  parameters and buffers
    check.safetensors  `pixels` uint8 (N, C, H, W), seeded noise, and the network's `logits`
    card.md            for people
    model.onnx …       the device's files

Pruning changes layer widths and nothing else, so the stored shapes are the recipe: the space
builds the unpruned network and each layer is resized to them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from orchestrator.bundle.card import card
from orchestrator.contracts import Artifact, Device, ImageFacts, Usage
from orchestrator.errors import ParityError, RunError
from orchestrator.plugins import Plugins, installed
from orchestrator.records import Genotype
from orchestrator.training.building import build_network

__all__ = [
    "EXACT",
    "BundleContents",
    "Verification",
    "read_facts",
    "rebuild",
    "verify",
    "write_bundle",
]

FORMAT = 1
# The label of the file that is the same function as the network; others are approximations.
EXACT = "fp32"
# Of the largest logit: what another runtime's order of additions costs is some 1e-6.
TOLERANCE = 1e-4
_CHECK_IMAGES = 8
_FACTS = tuple(field.name for field in fields(ImageFacts))


@dataclass(frozen=True)
class BundleContents:
    """What goes into a folder.

    `network` is trained and compressed. `artifacts` maps a label to a file, wherever it lies: the
    one labelled `EXACT` must be the same function as `network`, others ("int8") approximate it;
    `recommended` is one of the labels, and `usage` says how its file is run. `figures` are JSON
    values for the card.
    """

    genotype: Genotype
    network: nn.Module
    images: ImageFacts
    space_options: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    recommended: str = ""
    usage: Usage | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """What `verify` measured.

    `network_difference` and `differences` (by label, `EXACT` only) are the largest difference of
    a logit; `agreements` are shares of equal top-1 answers, by label. The images are noise, on
    which an approximation agrees less often than on photographs.
    """

    network_difference: float
    differences: Mapping[str, float]
    agreements: Mapping[str, float]


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


def read_facts(folder: Path) -> dict[str, Any]:
    """genotype.json, checked; raises RunError."""
    path = folder / "genotype.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        newest = facts["format"]
    except FileNotFoundError:
        raise RunError(f"{folder} is no finalist's folder: it holds no genotype.json.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} cannot be read: {error!r}. Write the bundle again.") from error
    if newest != FORMAT:
        raise RunError(
            f"{path} has format {newest!r}, this version reads {FORMAT}. Use the version of "
            f"Orchestrator that wrote it: {facts.get('versions')}."
        )
    needed = {"genotype", "space_options", "artifacts", "sha256", *_FACTS}
    if missing := sorted(needed - set(facts)):
        raise RunError(f"{path} lacks {', '.join(missing)}. Write the bundle again.")
    return facts  # type: ignore[no-any-return]


def rebuild(folder: Path, plugins: Plugins | None = None) -> nn.Module:
    """The network in eval mode, on the CPU; raises RunError. Runs no code from the folder.

    Its space is one of `plugins`, by default of those installed.
    """
    facts = read_facts(folder)
    weights = _tensors(folder / "weights.safetensors")
    network = _build(folder, facts, plugins or installed())
    _fit(network, weights, folder)
    network.load_state_dict(weights)
    return network.eval()


def verify(folder: Path, device: Device | None = None) -> Verification:
    """Whether the files are those written and the functions are one.

    Without `device` the artifacts are only hashed. Raises RunError for a missing, damaged or
    changed file and ParityError where a function differs.
    """
    facts = read_facts(folder)
    for name, expected in facts["sha256"].items():
        _check_file(folder, name, expected)
    check = _tensors(folder / "check.safetensors")
    if set(check) != {"pixels", "logits"}:
        raise RunError(f"{folder}/check.safetensors holds {sorted(check)}, not pixels and logits.")
    images = ImageFacts.from_json(facts).normalise(check["pixels"])
    difference = _difference(_answer(rebuild(folder), images), check["logits"])
    _check_parity("the rebuilt network", difference, check["logits"])
    differences, agreements = {}, {}
    for label, entry in facts["artifacts"].items() if device else ():
        artifact = Artifact(folder / _plain(folder, entry["file"]), entry["format"])
        logits = torch.from_numpy(_predict(device, artifact, images))
        agreed = logits.argmax(1) == check["logits"].argmax(1)
        agreements[label] = float(agreed.float().mean())
        if label == EXACT:
            differences[label] = _difference(logits, check["logits"])
            _check_parity(artifact.path.name, differences[label], check["logits"])
    return Verification(difference, differences, agreements)


# --- writing ---------------------------------------------------------------------------------


def _write_files(folder: Path, contents: BundleContents) -> None:
    weights = {name: tensor.cpu() for name, tensor in contents.network.state_dict().items()}
    _save(folder / "weights.safetensors", weights)
    images = contents.images
    shape = (_CHECK_IMAGES, *images.shape)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = torch.from_numpy(noise)
    logits = _answer(contents.network.eval(), images.normalise(pixels)).cpu()
    _save(folder / "check.safetensors", {"pixels": pixels, "logits": logits})
    for artifact in contents.artifacts.values():
        shutil.copyfile(artifact.path, folder / artifact.path.name)
    facts = _facts(contents)
    (folder / "card.md").write_text(card(facts), encoding="utf-8")
    facts["sha256"] = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (folder / "genotype.json").write_text(text + "\n", encoding="utf-8")


def _facts(contents: BundleContents) -> dict[str, Any]:
    artifacts = contents.artifacts.items()
    recommended = contents.artifacts.get(contents.recommended)
    return {
        "format": FORMAT,
        "id": contents.genotype.key,
        "genotype": contents.genotype.to_json(),
        "space_options": dict(contents.space_options),
        **vars(contents.images),
        "recommended": recommended.path.name if recommended else None,
        "artifacts": {label: {"file": a.path.name, "format": a.format} for label, a in artifacts},
        "usage": asdict(contents.usage) if contents.usage else None,
        "figures": dict(contents.figures),
        "versions": dict(contents.versions),
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


# --- rebuilding ------------------------------------------------------------------------------


def _build(folder: Path, facts: Mapping[str, Any], plugins: Plugins) -> nn.Module:
    """The space's unpruned network; torch's global generator is left as it was."""
    try:
        genotype = Genotype.from_json(facts["genotype"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder}/genotype.json: the genotype is damaged: {error!r}.") from error
    options = {**facts["space_options"], "preset": genotype.preset}
    space = plugins.create("space", genotype.space, options)
    return build_network(space, genotype, ImageFacts.from_json(facts), seed=0)


def _fit(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Resize every layer of `network` in place to the stored shapes."""
    built = network.state_dict()
    odd = sorted(set(built) ^ set(weights))
    odd += sorted(n for n in set(built) & set(weights) if built[n].ndim != weights[n].ndim)
    if odd:
        raise RunError(
            f"{folder}: weights and architecture do not belong together, for example at {odd[0]}. "
            "Was genotype.json edited, or is the space of another version?"
        )
    for path, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            stored = weights.get(f"{path}.{name}" if path else name)
            if stored is not None and stored.shape != tensor.shape:
                _resize(module, name, stored)
        _name_sizes(module)


def _resize(module: nn.Module, name: str, stored: Tensor) -> None:
    empty = torch.empty_like(stored)
    old = getattr(module, name)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(module, name, nn.Parameter(empty, old.requires_grad) if is_parameter else empty)


def _name_sizes(module: nn.Module) -> None:
    """Make a layer's own account of its size agree with its tensors."""
    if isinstance(module, _ConvNd):
        _name_convolution(module)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NormBase):
        tensor = module.weight if module.affine else module.running_mean
        module.num_features = len(tensor) if tensor is not None else module.num_features
    elif isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.GroupNorm) and module.affine:
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _name_convolution(module: _ConvNd) -> None:
    """Weights are (out, in / groups, …), transposed ones (in, out / groups, …)."""
    first, second = module.weight.shape[:2]
    # One input channel and one group is an ordinary convolution of a grey image.
    if module.groups == module.in_channels > 1:
        fan = module.out_channels // module.in_channels
        module.groups = first if isinstance(module, _ConvTransposeNd) else first // fan
    sizes = first, second * module.groups
    if isinstance(module, _ConvTransposeNd):
        module.in_channels, module.out_channels = sizes
    else:
        module.out_channels, module.in_channels = sizes


# --- reading and comparing -------------------------------------------------------------------


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(path.read_bytes())  # type: ignore[no-any-return]
    except FileNotFoundError:
        raise RunError(f"{path} is missing. Write the bundle again.") from None
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Write the bundle again.") from error


def _check_file(folder: Path, name: str, expected: str) -> None:
    path = folder / _plain(folder, name)
    if not path.is_file():
        raise RunError(f"{path} is missing. Write the bundle again.")
    if _sha256(path) != expected:
        raise RunError(f"{path} is not the file that was written: its sha256 differs.")


def _plain(folder: Path, name: str) -> str:
    if Path(name).name != name:
        raise RunError(f"{folder}/genotype.json names {name!r}, which is outside of the folder.")
    return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@torch.no_grad()
def _answer(network: nn.Module, images: Tensor) -> Tensor:
    first = next(network.parameters())
    logits: Tensor = network(images.to(first))
    return logits.float()


def _predict(device: Device | None, artifact: Artifact, images: Tensor) -> np.ndarray:
    assert device is not None
    if not artifact.path.is_file():
        raise RunError(f"{artifact.path} is missing. Write the bundle again.")
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
