"""A finalist's folder back into a network: without pickle, and without code from the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from orchestrator.bundle.facts import beside, genotype_of, read_facts, read_tensors
from orchestrator.bundle.resizing import resize
from orchestrator.contracts import ImageFacts, Task
from orchestrator.errors import CandidateError, RunError, closest, plural
from orchestrator.plugins import Plugins, installed
from orchestrator.training.building import build_network
from orchestrator.training.left_out import leave_out

__all__ = ["rebuild", "rebuild_one", "task_of"]

# Times its stored numbers, and these many more, for a network of almost none.
_MOST_TIMES = 1000
_SMALL = 1_000


def rebuild(folder: Path, plugins: Plugins | None = None, *, label: str = "") -> nn.Module:
    """The network in eval mode, on the CPU; raises RunError. Runs no code from the folder.

    Its space is one of `plugins`, by default of those installed. With a file's `label` it is the
    network that this file computes, which before pruning is another than after.
    """
    facts = read_facts(folder)
    if label and label not in facts["artifacts"]:
        raise RunError(f"{folder} has no file {label!r}; {closest(label, facts['artifacts'])}.")
    network = facts["artifacts"][label]["network"] if label else ""
    return rebuild_one(folder, facts, network, plugins or installed())


def rebuild_one(
    folder: Path, facts: Mapping[str, Any], network: str, plugins: Plugins
) -> nn.Module:
    """One of the folder's networks, by its name; raises RunError."""
    weights = read_tensors(facts, folder, beside("weights.safetensors", network))
    _check_size(folder, facts, plugins, weights)
    built = _build(folder, facts, plugins)
    if not network:
        _without(built, facts.get("left_out", []), folder)
    resize(built, weights, folder)
    built.load_state_dict(weights)
    return built.eval()


def _check_size(
    folder: Path, facts: Mapping[str, Any], plugins: Plugins, weights: Mapping[str, Tensor]
) -> None:
    """Raise RunError for a network beyond all proportion to its weights, before it is built.

    Pruning leaves less than there was, but never a thousandth of it.
    """
    import torch

    with torch.device("meta"):
        planned = _build(folder, facts, plugins)
    size = sum(parameter.numel() for parameter in planned.parameters())
    stored = sum(tensor.numel() for tensor in weights.values())
    if size > _MOST_TIMES * (stored + _SMALL):
        raise RunError(
            f"{folder}/genotype.json asks for a network of {plural(size, 'parameter')}, its "
            f"weights are {stored:,}: they do not belong together. Write the bundle again."
        )


def _build(folder: Path, facts: Mapping[str, Any], plugins: Plugins) -> nn.Module:
    """The space's unpruned network; torch's global generator is left as it was."""
    genotype = genotype_of(facts, folder)
    options = {**facts["space_options"], "preset": genotype.preset}
    presets = plugins.resolve("space", genotype.space).presets
    if genotype.preset not in presets:
        text = closest(genotype.preset, presets)
        raise RunError(f"{folder}/genotype.json: no preset {genotype.preset!r}; {text}")
    space = plugins.create("space", genotype.space, options)
    task = task_of(facts, folder, plugins)
    try:
        return build_network(space, genotype, ImageFacts.from_json(facts), seed=0, task=task)
    except CandidateError as error:
        raise RunError(f"{folder}/genotype.json: {error}. Was the file edited?") from error


def _without(network: nn.Module, blocks: Sequence[str], folder: Path) -> None:
    """Leave out the blocks that a compressor left out, in place; raises RunError."""
    known = dict(network.named_modules())
    if unknown := [name for name in blocks if name not in known]:
        raise RunError(
            f"{folder}/genotype.json leaves out {', '.join(unknown)}, which the network does not "
            "have. Was the file edited, or is the space of another version?"
        )
    leave_out(network, blocks)


def task_of(facts: Mapping[str, Any], folder: Path, plugins: Plugins) -> Task:
    """What the network is for."""
    # A folder that does not say is of before there were tasks.
    options = facts.get("task_options", {})
    made: Task = plugins.create("task", genotype_of(facts, folder).task, options)
    return made
