"""The trained weights that a search starts from: written into its folder once, then given away.

From then on no network is needed, on another machine or after an interruption either. Slicing
follows the rules of shared weights: leading channels, centres of kernels, what the space says
otherwise. Running statistics go along and are not taken anew: on small images those of the last
stages shrink, and new ones blow rarely active channels up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from orchestrator.contracts import SearchSpace
from orchestrator.errors import ConfigError, RunError
from orchestrator.files import understood
from orchestrator.pretrained.loading import Loaded
from orchestrator.pretrained.quieting import quieten
from orchestrator.pretrained.sorting import sort_channels
from orchestrator.records import Choices, Credit, Genotype
from orchestrator.supernet.regions import region_of
from orchestrator.supernet.store import owned_parameters
from orchestrator.training.building import build_network
from orchestrator.training.weights import write_weights
from orchestrator.trials import FixedTrial

__all__ = [
    "StartingWeights",
    "adapted_file",
    "credit_of",
    "load_start",
    "prepare_start",
    "start_file",
]

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class StartingWeights:
    """Trained weights and statistics by name, sorted; fulfils `Start`.

    `genotype` is that of the network they belong to, `shape` that of the search's images,
    (C, H, W). `notes` are what the user should be told of them, `choices` what the network was
    drawn with, if that is known.
    """

    space: SearchSpace
    tensors: Mapping[str, Tensor]
    credit: Credit
    genotype: Genotype
    shape: tuple[int, int, int]
    notes: tuple[str, ...] = ()
    choices: Choices = field(default_factory=dict)

    @property
    def answers(self) -> Choices | None:
        """The space's answers for `genotype`: of a published network, or of what was written down.

        None where neither draws it.
        """
        published = (point.choices for point in self.space.published().values())
        for choices in (*published, self.choices):
            trial = FixedTrial(choices)
            with suppress(ConfigError):  # of a space that asked otherwise when they were written
                if self.space.suggest(trial) == self.genotype.architecture:
                    return trial.asked
        return None

    @torch.no_grad()
    def give(self, network: nn.Module) -> list[str]:
        """See `Start`; cost: a copy, and where blocks are new a forward pass of one image."""
        prefix = self._prefix(network)
        missing = list[str]()
        for owned in owned_parameters(network):
            known = self._known(owned.name, prefix)
            if known is None:
                missing.append(owned.name)
            else:
                self._copy(known, owned.tensor.data, kernel=owned.kernel)
        own = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        for name, tensor in network.state_dict().items():
            if name not in own and tensor.is_floating_point():
                known = self._known(name, prefix)
                if known is not None:
                    self._copy(known, tensor, kernel=False)
        quieten(network, missing, self.shape)
        return missing

    def whole(self, network: nn.Module) -> dict[str, Tensor]:
        """See `Start`."""
        prefix = self._prefix(network)
        found = {}
        for owned in owned_parameters(network):
            known = self._known(owned.name, prefix)
            if known is not None:
                found[owned.name] = self.space.resampled(*known, owned.tensor.shape)
        return found

    def _prefix(self, network: nn.Module) -> str:
        """Under which child a task keeps the space's part; "" where names are the space's own."""
        names = [name for name, _ in network.named_parameters()]
        prefixes = dict.fromkeys(["", *(f"{name}." for name, _ in network.named_children())])

        def hits(prefix: str) -> int:
            own = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
            return sum(name in self.tensors for name in own)

        return max(prefixes, key=hits)

    def _known(self, name: str, prefix: str) -> tuple[str, Tensor] | None:
        """The name that the space knows it by and the trained tensor; None where there is none."""
        if not name.startswith(prefix):
            return None
        own = name.removeprefix(prefix)
        known = self.tensors[own] if own in self.tensors else self.space.derive(own, self.tensors)
        return None if known is None else (own, known)

    def _copy(self, known: tuple[str, Tensor], into: Tensor, *, kernel: bool) -> None:
        """Put the common part into a tensor, once it is of the images' size.

        What old outputs read anew, channels as well as rings of a kernel, is 0, so that they stay
        what they were. Raises SharingError where the ranks differ.
        """
        name, source = known[0], self.space.resampled(*known, into.shape)
        ours, theirs = tuple(source.shape), tuple(into.shape)
        common = tuple(map(min, ours, theirs)) if len(ours) == len(theirs) else theirs
        part = region_of(self.space, name, (ours, common), kernel=kernel)
        place = region_of(self.space, name, (theirs, common), kernel=kernel)
        if theirs[1:] != common[1:]:
            rows = place.parts[0]
            into[rows if isinstance(rows, slice) else list(rows)] = 0.0
        place.write(into, part.read(source).to(into.device))


def start_file(folder: Path) -> Path:
    """Where a run keeps them."""
    return folder / "weights" / "start.safetensors"


def adapted_file(folder: Path) -> Path:
    """Where a run keeps those that its first training made of them; they come first."""
    return folder / "weights" / "adapted.safetensors"


def prepare_start(
    path: Path, space: SearchSpace, shape: tuple[int, int, int], load: Callable[[], Loaded]
) -> StartingWeights:
    """Starting weights of a run, loaded and sorted unless `path`, of its folder, holds them.

    `shape` is that of the search's images. Raises what `load` raises, and RunError for a disk that
    cannot be written. Cost: `load`, then some seconds for a large network.
    """
    if not path.exists():
        _write(path, space, shape, load())
    return _mapped(space, path, path.stat().st_mtime_ns)


def credit_of(folder: Path) -> Credit | None:
    """Whom a run's starting weights are owed to; None where there are none, or not yet.

    Reads the file's head only. Raises RunError for a damaged file.
    """
    path = start_file(folder)
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = understood(json.loads(file.metadata()["facts"]), path, format=_FORMAT)
        return Credit.from_json(facts["credit"])
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(_unreadable(path, error)) from error


def load_start(folder: Path, space: SearchSpace) -> StartingWeights:
    """What `prepare_start` left, mapped once a process; raises RunError for a damaged file."""
    adapted = adapted_file(folder)
    path = adapted if adapted.exists() else start_file(folder)
    if not path.exists():
        raise RunError(
            f"{path} is missing: the weights that networks start from. Resume the search, which "
            "writes it again."
        )
    return _mapped(space, path, path.stat().st_mtime_ns)


def _write(path: Path, space: SearchSpace, shape: tuple[int, int, int], loaded: Loaded) -> None:
    facts = loaded.facts
    if loaded.head:  # with its own classifier, which tells what of the features matters
        facts = replace(facts, classes=tuple(map(str, range(loaded.credit.classes))))
    network = build_network(space, loaded.genotype, facts, seed=0)
    network.load_state_dict({**loaded.tensors, **loaded.head}, strict=False)
    found = sort_channels(network, space.fixed_layers(network), facts.shape)
    kept = {
        name: tensor.contiguous()
        for name, tensor in found.tensors.items()
        if name in loaded.tensors and tensor.is_floating_point()
    }
    told = {
        "format": _FORMAT,
        "credit": loaded.credit.to_json(),
        "genotype": loaded.genotype.to_json(),
        "shape": shape,
        "notes": [*loaded.notes, found.sentence],
        "choices": dict(loaded.choices),
        "unsorted": found.left,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(kept, path, notes={"facts": json.dumps(told)})


@lru_cache(maxsize=2)
def _mapped(space: SearchSpace, path: Path, changed_ns: int) -> StartingWeights:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = understood(
                json.loads(file.metadata()["facts"]), path, format=_FORMAT
            )
            names: Sequence[str] = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        return StartingWeights(
            space,
            tensors,
            Credit.from_json(facts["credit"]),
            Genotype.from_json(facts["genotype"]),
            tuple(facts["shape"]),
            tuple(facts["notes"]),
            facts.get("choices", {}),
        )
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"{path} holds no readable starting weights ({error}). Delete it, then resume the search; "
        "it is written again."
    )
