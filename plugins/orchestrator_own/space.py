"""A search space made of one network: what its user wrote, narrower, shallower and simpler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from orchestrator import (
    Architecture,
    Checkpoint,
    Classes,
    ImageFacts,
    Outputs,
    Part,
    Published,
    SearchSpace,
    Trial,
    leave_out,
)
from orchestrator.errors import BuildError, ConfigError, SharingError, plural
from orchestrator_own.anatomy import Anatomy, anatomy, slots
from orchestrator_own.image_positions import positions_at
from orchestrator_own.layers import activation_kinds, at_side, options_of, shrink, with_activations
from orchestrator_own.making import TIMM, Wanted, check_source, make, refitted
from orchestrator_own.timm_weights import checkpoint_of
from orchestrator_own.widths import Slot, Width, narrow

__all__ = ["OwnNetwork"]

# Named points: what each is, and the share of channels of streams and of what lies inside blocks.
_POINTS = {"width-0.75": 0.75, "width-0.5": 0.5}


class OwnNetwork(SearchSpace):
    """The networks that one of the user's own can become.

    `network` is "package.module:factory", called with what it is asked for of the number of
    classes, of channels and of the images' size (`classes`, `num_classes`; `in_channels`,
    `in_chans`; `image_size`, `img_size`), or "timm/NAME". `weights` are those it starts from: a
    file, "timm/NAME", or "trained" for none yet, see the README. `image_size` is that of the
    images it is looked at with; by default the first that it takes.
    """

    name = "own"
    presets: ClassVar[tuple[str, ...]] = ("whole",)

    def __init__(
        self,
        *,
        preset: str = "whole",
        network: str | None = None,
        weights: str | None = None,
        image_size: int | None = None,
    ) -> None:
        super().__init__(preset=preset)
        if network is None and weights is not None and weights.startswith(TIMM):
            network = weights
        if network is None:
            raise ConfigError(
                "space.network: must be given, as package.module:factory of a classifier of your "
                "own, or timm/NAME."
            )
        self.network = network
        self.weights = weights
        self.image_size = image_size
        check_source(network)

    @property
    def anatomy(self) -> Anatomy:
        """What of the network can change."""
        return anatomy(self.network, self.image_size)

    def suggest(self, trial: Trial) -> Architecture:
        """Depth first, as what is left out has no width; all numbers are of what is kept."""
        found = self.anatomy
        depth, gone = {}, set[str]()
        for stage in found.stages:
            kept = trial.suggest_int(f"depth.{stage.name}", stage.least, len(stage.blocks))
            depth[stage.name] = kept
            gone |= set(stage.left_out(kept))
        return {
            "network": self.network,
            "depth": depth,
            "width": {
                width.name: _asked(trial, f"width.{width.name}", width.totals)
                for width in found.widths
                if not all(_inside(layer, gone) for layer in width.layers)
            },
            "kernel": {
                kernel.layer: _asked(trial, f"kernel.{kernel.layer}", kernel.sides)
                for kernel in found.kernels
                if not _inside(kernel.layer, gone)
            },
            "activation": {
                kind: _asked(trial, f"activation.{kind}", options_of(kind))
                for kind in activation_kinds(
                    {n: k for n, k in found.activations.items() if not _inside(n, gone)}
                )
            },
            "resolution": _asked(trial, "resolution", found.resolutions),
        }

    def build(self, architecture: Architecture, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        """The user's own class with fewer parts; raises BuildError."""
        if not isinstance(outputs, Classes):
            raise BuildError(f"{self.name} builds classifiers, found {outputs}.")
        if architecture["network"] != self.network:
            raise BuildError(
                f"the architecture is one of {architecture['network']}, this space of "
                f"{self.network}. Say space.network={architecture['network']}."
            )
        wanted = Wanted(outputs.count, facts.in_channels, facts.image_size)
        network = make(self.network, wanted)
        refitted(network, self.anatomy.refit, wanted)
        return self._cut(network, architecture, facts)

    def _cut(self, network: nn.Module, architecture: Architecture, facts: ImageFacts) -> nn.Module:
        found = self.anatomy
        widths = {width.name: width for width in found.widths}
        _check_sizes(network, found, facts)
        narrow(network, [(widths[name], kept) for name, kept in architecture["width"].items()])
        for layer, side in architecture["kernel"].items():
            shrink(network.get_submodule(layer), side)
        kinds = architecture["activation"]
        with_activations(network, {n: kinds.get(k, k) for n, k in found.activations.items()})
        for stage in found.stages:
            leave_out(network, stage.left_out(architecture["depth"][stage.name]))
        side = int(facts.image_size * architecture["resolution"])
        return network if side == facts.image_size else at_side(network, side)

    def published(self) -> Mapping[str, Published]:
        """The network as it is, first; and as it is but for its widths."""
        found = self.anatomy
        points = {"original": self._point(1.0, f"{self.network}, as its user wrote it")}
        if found.widths:
            for name, share in _POINTS.items():
                told = f"{self.network} with {share:g} of every group of channels"
                points[name] = self._point(share, told)
        return points

    def _point(self, share: float, source: str) -> Published:
        answers = _Answers(share)
        self.suggest(answers)
        return Published(answers.given, self.anatomy.image_size, source)

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """Those of timm where they were asked for; a file needs no list."""
        if self.weights is None or not self.weights.startswith(TIMM):
            return {}
        return {self.weights: checkpoint_of(self.weights)}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> Mapping[str, Tensor]:
        """The user's own names; wrappers of parallel training put "module." before them."""
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}

    def unchanged(self) -> Mapping[str, str]:
        """What the search leaves as it is, and why."""
        return self.anatomy.reasons

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """Layers of attention, and those whose channels nobody can follow."""
        modules = dict(network.named_modules())
        return [modules[name] for name in self.anatomy.fixed if name in modules]

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """Segments of fused projections and of what is concatenated; else leading channels."""
        parts: list[Part] = []
        for dimension, (whole, part) in enumerate(zip(full, wanted, strict=True)):
            start = (whole - part) // 2 if dimension > 1 and len(full) == 4 else 0
            found = self._part(name, dimension, whole, part)
            parts.append(found if found is not None else slice(start, start + part))
        return tuple(parts)

    def resampled(self, name: str, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Positions of another grid of patches; see the base class.

        Raises SharingError for what no width and no kernel explains, and is no table of positions:
        its leading part would be taken for the whole.
        """
        if tensor.dim() != len(shape):
            return tensor
        other = [
            dimension
            for dimension, sizes in enumerate(zip(tensor.shape, shape, strict=True))
            if sizes[0] != sizes[1] and not self._searched(name, dimension, sizes)
        ]
        if not other:
            return tensor
        found = positions_at(tensor, shape, other)
        if found is None:
            raise SharingError(
                f"space.network={self.network}: {name} is {tuple(tensor.shape)} where it was "
                f"trained and {tuple(shape)} here, which no width explains: it goes by the size of "
                "images, and is no table of positions. Set dataset.image_size to that of the "
                "training."
            )
        return found

    def _searched(self, name: str, dimension: int, sizes: Iterable[int]) -> bool:
        """Whether a width or a kernel that is searched has these sizes there."""
        kernels = {f"{kernel.layer}.weight" for kernel in self.anatomy.kernels}
        if dimension > 1 and name in kernels:
            return True
        found = slots(self.network, self.image_size).get((name, dimension))
        return found is not None and set(sizes) <= _totals(*found).keys()

    def _part(self, name: str, dimension: int, whole: int, part: int) -> Part | None:
        """Where a smaller width's channels lie among a larger one's; None for the leading ones."""
        found = slots(self.network, self.image_size).get((name, dimension))
        if found is None or whole == part:
            return None
        width, slot = found
        by_size = _totals(width, slot)
        if whole not in by_size or part not in by_size:
            return None
        large = slot.kept(width.roots(by_size[whole]))
        small = set(slot.kept(width.roots(by_size[part])))
        places = tuple(place for place, entry in enumerate(large) if entry in small)
        return None if places == tuple(range(part)) else places


class _Answers:
    """A trial whose answers are the network as it is, but for a share of its widths."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.given: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Its own kind comes first among activations, its own size last of all else."""
        if name.startswith("activation."):
            chosen = choices[0]
        elif name.startswith("width."):
            chosen = min(choices, key=lambda total: abs(total - self.share * choices[-1]))
        else:
            chosen = choices[-1]
        return self.given.setdefault(name, chosen)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """All blocks."""
        return int(self.given.setdefault(name, high))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Never asked."""
        raise AssertionError(name)


def _totals(width: Width, slot: Slot) -> Mapping[int, int]:
    """How many entries of a dimension are kept → of how many channels of the width."""
    return {len(slot.kept(width.roots(total))): total for total in width.totals}


def _asked(trial: Trial, name: str, options: Sequence[Any]) -> Any:
    """What has one answer is not asked."""
    return trial.suggest_categorical(name, list(options)) if len(options) > 1 else options[0]


def _inside(layer: str, blocks: Iterable[str]) -> bool:
    """Whether a layer is a part of one of these blocks."""
    return any(layer == block or layer.startswith(f"{block}.") for block in blocks)


def _check_sizes(network: nn.Module, found: Anatomy, facts: ImageFacts) -> None:
    """Raise BuildError for a network that is not the one that was looked at."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for slot in (slot for width in found.widths for slot in width.slots):
        tensor = tensors.get(slot.tensor)
        if tensor is None or tensor.shape[slot.dimension] != len(slot.roots):
            size = "none" if tensor is None else str(tuple(tensor.shape))
            if facts.image_size == found.image_size:
                raise BuildError(
                    f"{slot.tensor} is {size}, expected {plural(len(slot.roots), 'entry')} in "
                    f"dimension {slot.dimension}: the factory makes another network each time. Let "
                    "it draw no sizes by chance."
                )
            raise BuildError(
                f"{slot.tensor} is {size}, expected {plural(len(slot.roots), 'entry')} in "
                f"dimension {slot.dimension}: the network was looked at with images of "
                f"{found.image_size} px, these have {facts.image_size}. Say "
                f"space.image_size={facts.image_size}."
            )
