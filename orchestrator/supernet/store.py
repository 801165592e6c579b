"""One store of parameters for a space, of which every architecture's network uses a part.

Parameters are known by name, and as large as the largest architecture met so far. The store
grows when a new name or a larger size turns up; what optimisers remember of an entry grows along.
Convolutions are kept with channels last in memory, as a slice of another layout would make every
step up to 1.7 times slower.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator.contracts import SearchSpace
from orchestrator.errors import RunError
from orchestrator.files import understood
from orchestrator.supernet.regions import Region, region_of
from orchestrator.training.weights import write_weights

__all__ = ["Owned", "Store", "owned_parameters"]

_STATE = "optimizer/"
_FORMAT = 1


class Owned:
    """A network's parameter: its shared name, every place it hangs, and whether it is a kernel."""

    def __init__(self, name: str, owner: nn.Module, leaf: str) -> None:
        self.name = name
        self.places = [(owner, leaf)]
        self.kernel = isinstance(owner, nn.modules.conv._ConvNd) and leaf == "weight"

    @property
    def tensor(self) -> nn.Parameter:
        """The parameter as it is now."""
        owner, leaf = self.places[0]
        found = owner._parameters[leaf]
        assert found is not None
        return found

    def replace(self, parameter: nn.Parameter) -> None:
        """Hang another parameter in all places; tied weights stay tied."""
        for owner, leaf in self.places:
            owner._parameters[leaf] = parameter


def owned_parameters(network: nn.Module) -> list[Owned]:
    """Every parameter once, under the first name it has."""
    found: dict[int, Owned] = {}
    for path, module in network.named_modules():
        for leaf, parameter in module._parameters.items():
            if parameter is None:
                continue
            if id(parameter) in found:
                found[id(parameter)].places.append((module, leaf))
            else:
                name = f"{path}.{leaf}" if path else leaf
                found[id(parameter)] = Owned(name, module, leaf)
    return list(found.values())


class Store:
    """Shared parameters by name; `version` changes whenever an entry was allocated anew.

    `memory` holds what optimisers remember of each entry ("momentum_buffer", "exp_avg", …), of
    the entry's shape, or a scalar for counts. All entries lie on `device`, counts on the CPU.
    """

    def __init__(self, space: SearchSpace, device: str = "cpu") -> None:
        self.space = space
        self.device = device
        self.tensors: dict[str, Tensor] = {}
        self.memory: dict[str, dict[str, Tensor]] = {}
        self.version = 0
        # Whether any network so far had batch norm.
        self.normed = False
        # Entries that began with trained weights, so that what is new beside them must be still.
        self.seeded: set[str] = set()

    def region(self, owned: Owned) -> Region:
        """Where a network's parameter lies; raises SharingError where it does not fit."""
        full = tuple(self.tensors[owned.name].shape)
        wanted = tuple(owned.tensor.shape)
        return region_of(self.space, owned.name, (full, wanted), kernel=owned.kernel)

    def covers(self, network: nn.Module) -> bool:
        """Whether every parameter of `network` has a place."""
        return all(self._fits(owned) for owned in owned_parameters(network))

    @torch.no_grad()
    def seed(self, tensors: Mapping[str, Tensor]) -> None:
        """Begin with trained weights, by name and whole; entries there are already stay."""
        for name, tensor in tensors.items():
            if name not in self.tensors:
                self.tensors[name] = _laid_out(tensor.detach().clone().to(self.device))
                self.seeded.add(name)
                self.version += 1

    @torch.no_grad()
    def grow(self, network: nn.Module) -> None:
        """Make room for all of `network`; what is new starts with the network's own values.

        What neither holds is drawn, and 0 in an entry that was seeded.
        """
        self.normed |= any(isinstance(module, _BatchNorm) for module in network.modules())
        for owned in owned_parameters(network):
            if not self._fits(owned):
                self._grow(owned)
                self.version += 1

    def remembered(self, owned: Owned, key: str, like: Tensor) -> Tensor:
        """What optimisers remember of an entry under `key`, made where there is nothing yet."""
        entry = self.memory.setdefault(owned.name, {})
        if key not in entry:
            shape = self.tensors[owned.name] if like.dim() else like
            entry[key] = torch.zeros_like(shape, dtype=like.dtype)
        return entry[key]

    @torch.no_grad()
    def inherit(self, network: nn.Module) -> list[str]:
        """Copy the store's weights into `network`; returns the names it has nothing for.

        Of a parameter that is larger than the store's, the common part is copied. Raises
        SharingError for two operators that share a name.
        """
        missing = []
        for owned in owned_parameters(network):
            known = self.tensors.get(owned.name)
            if known is None:
                missing.append(owned.name)
                continue
            ours, theirs = tuple(known.shape), tuple(owned.tensor.shape)
            common = tuple(map(min, ours, theirs)) if len(ours) == len(theirs) else theirs
            source = region_of(self.space, owned.name, (ours, common), kernel=owned.kernel)
            target = region_of(self.space, owned.name, (theirs, common), kernel=owned.kernel)
            target.write(owned.tensor.data, source.read(known).to(owned.tensor.device))
            if common != theirs:
                missing.append(owned.name)
        return missing

    def save(self, path: Path, facts: Mapping[str, Any], *, memory: bool) -> None:
        """Write all or nothing; `facts` are JSON values. Raises RunError for an unwritable disk.

        Without `memory` the file holds what estimates need, with it what training needs.
        """
        tensors = {name: _to_file(tensor) for name, tensor in self.tensors.items()}
        if memory:
            for name, entry in self.memory.items():
                for key, tensor in entry.items():
                    tensors[f"{_STATE}{key}/{name}"] = _to_file(tensor)
        stored = json.dumps({"format": _FORMAT, "seeded": sorted(self.seeded), **facts})
        write_weights(tensors, path, notes={"facts": stored})

    @classmethod
    def load(
        cls, space: SearchSpace, path: Path, device: str = "cpu"
    ) -> tuple[Store, dict[str, Any]]:
        """The store and the facts of a file; raises RunError for a damaged or newer one.

        Weights of estimates are mapped, not read: processes of one machine share the memory, and
        a write stays private to its process.
        """
        store = cls(space, device)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = understood(json.loads(file.metadata()["facts"]), path, format=_FORMAT)
                store.seeded.update(facts.pop("seeded", ()))
                for name in file.keys():  # noqa: SIM118  (no mapping)
                    store._adopt(name, file.get_tensor(name))
        except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise RunError(
                f"{path} is no readable store of shared weights ({error}). Delete it, then resume "
                "the search; they are trained again."
            ) from error
        return store, facts

    def _adopt(self, name: str, tensor: Tensor) -> None:
        if name.startswith(_STATE):
            key, _, rest = name.removeprefix(_STATE).partition("/")
            found = _from_file(tensor)
            self.memory.setdefault(rest, {})[key] = found.to(self.device) if found.dim() else found
        else:
            self.tensors[name] = _from_file(tensor).to(self.device)

    def _fits(self, owned: Owned) -> bool:
        known = self.tensors.get(owned.name)
        if known is None:
            return False
        if known.dim() != owned.tensor.dim():
            self.region(owned)  # raises, with both shapes
        return all(a >= b for a, b in zip(known.shape, owned.tensor.shape, strict=True))

    def _grow(self, owned: Owned) -> None:
        fresh = owned.tensor.detach().to(self.device)
        known = self.tensors.get(owned.name)
        if known is None:
            self.tensors[owned.name] = _laid_out(fresh.clone())
            return
        shape = tuple(map(max, known.shape, fresh.shape))
        grown = self._corner(owned.name, shape, fresh)
        self._put(owned, grown, fresh)
        self.tensors[owned.name] = self._put(owned, grown, known)
        for key, tensor in self.memory.get(owned.name, {}).items():
            if tensor.dim():
                blank = torch.zeros(shape, dtype=tensor.dtype, device=self.device)
                self.memory[owned.name][key] = self._put(owned, blank, tensor)

    def _corner(self, name: str, shape: tuple[int, ...], fresh: Tensor) -> Tensor:
        """What neither holds, a corner between the two, is drawn like the new one.

        On the CPU, so that it is the same everywhere.
        """
        if name in self.seeded:
            return torch.zeros(shape, dtype=fresh.dtype, device=self.device)
        generator = torch.Generator().manual_seed(len(self.tensors))
        drawn = torch.empty(shape, dtype=fresh.dtype).normal_(generator=generator).to(self.device)
        return drawn.mul_(_spread(fresh)).add_(fresh.mean())

    def _put(self, owned: Owned, whole: Tensor, part: Tensor) -> Tensor:
        shapes = (tuple(whole.shape), tuple(part.shape))
        region_of(self.space, owned.name, shapes, kernel=owned.kernel).write(whole, part)
        return _laid_out(whole)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)


def _spread(tensor: Tensor) -> float:
    return float(tensor.std()) if tensor.numel() > 1 else 0.0


def _laid_out(tensor: Tensor) -> Tensor:
    """Channels last, and said so by the strides of 1×1 kernels too, which `contiguous` leaves.

    Where those say nothing, activations that lost their layout, as by a shuffle of channels, do
    not get it back, and a step costs 1.5 times as much.
    """
    return tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _to_file(tensor: Tensor) -> Tensor:
    """As it lies in memory, so that it can be mapped from the file as it lies there."""
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).contiguous()


def _from_file(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
