"""What of a network can change, each part proven by running it, and what cannot, and why."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from orchestrator import leave_out
from orchestrator.errors import BuildError, ConfigError
from orchestrator_own.attention import Attention, alone, attentions, tied
from orchestrator_own.blocks import Stage, residual_blocks, stages
from orchestrator_own.layers import RESOLUTIONS, Kernel, activations, at_side, kernels, shrink
from orchestrator_own.making import Wanted, make, takes
from orchestrator_own.proving import Proof
from orchestrator_own.tracing import Graph, Traced, trace
from orchestrator_own.watching import Passage, first_layer, last_layer, watch
from orchestrator_own.widths import Slot, Width, narrow, with_options

__all__ = ["Anatomy", "anatomy", "slots"]

# Where nobody says how large the images are, the first that the network takes.
_SIDES = (224, 32, 64, 28, 96, 128, 256, 299, 384, 48, 16, 8)


@dataclass(frozen=True)
class Anatomy:
    """Plain facts of a network. `refit` names layers whose size the factory is not told.

    `fixed` are layers that pruning must not narrow, `reasons` what stays as it is and why: module
    name, or what it is about, → sentence.
    """

    image_size: int
    refit: Mapping[str, str]
    widths: tuple[Width, ...]
    stages: tuple[Stage, ...]
    kernels: tuple[Kernel, ...]
    activations: Mapping[str, str]
    resolutions: tuple[float, ...]
    fixed: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=8)
def anatomy(source: str, image_size: int | None) -> Anatomy:
    """Of the network that a factory makes, on images of so many pixels a side.

    Cost: some seconds, once a process; torch's global generator stays as it was. Raises
    ConfigError where the network does not run.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        network, images = _running(source, image_size)
        return _Study(source, network, images).done()


@lru_cache(maxsize=8)
def slots(source: str, image_size: int | None) -> Mapping[tuple[str, int], tuple[Width, Slot]]:
    """Tensor and dimension → the width whose channels lie there, and where."""
    return {
        (slot.tensor, slot.dimension): (width, slot)
        for width in anatomy(source, image_size).widths
        for slot in width.slots
    }


def _running(source: str, image_size: int | None) -> tuple[nn.Module, Tensor]:
    causes: list[str] = []
    for side in (image_size,) if image_size else _SIDES:
        try:
            network = make(source, Wanted(10, 3, side)).eval()
            images = torch.randn(2, _channels(network), side, side)
            with torch.no_grad():
                logits = network(images)
        except BuildError as error:
            if "image_size" not in takes(source):  # no size of images reaches the factory
                raise ConfigError(
                    f"{error} The factory must make a torch.nn.Module; expected logits "
                    "(B, classes) for images (B, C, H, W)."
                ) from error
            causes.append(str(error))
            continue
        except (Exception, SystemExit) as error:
            causes.append(f"{type(error).__name__}: {error}")
            continue
        _check_logits(source, logits)
        if isinstance(logits, Tensor) and logits.dim() == 2:
            return network, images
        causes.append(f"it gives {_shown(logits)}")
    sizes = f"of {image_size} px" if image_size else f"of any of {', '.join(map(str, _SIDES))} px"
    raise ConfigError(
        f"space.network={source} does not run: {causes[-1].rstrip('.')}. "
        f"Tried with images {sizes}, on the CPU; "
        f"expected logits (B, classes) for images (B, C, H, W).{_size_hint(causes)}"
    )


def _size_hint(causes: Sequence[str]) -> str:
    """What fails alike at every size does not fail for its size."""
    if len(causes) > 1 and len(set(causes)) == 1:
        return ""
    return " If their size is the reason, say space.image_size=PIXELS."


def _check_logits(source: str, logits: object) -> None:
    """Raise ConfigError for what no size of images makes logits of ten classes."""
    if not isinstance(logits, Tensor):
        raise ConfigError(
            f"space.network={source} gives {_shown(logits)}, expected one tensor of logits "
            "(B, classes). Return only the logits."
        )
    if logits.dim() == 2 and "classes" in takes(source) and logits.shape[1] != 10:
        raise ConfigError(
            f"space.network={source} was told 10 classes: found {logits.shape[1]} logits, expected "
            "10. Give its last layer as many outputs as the factory is told classes."
        )


def _channels(network: nn.Module) -> int:
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.groups == 1 else 3


def _shown(logits: object) -> str:
    return str(tuple(logits.shape)) if isinstance(logits, Tensor) else type(logits).__name__


class _Study:
    """One look at a network, step by step."""

    def __init__(self, source: str, network: nn.Module, images: Tensor) -> None:
        self.source = source
        self.network = network
        self.images = images
        self.passages: dict[str, Passage] = watch(network, images)
        self.order = {name: place for place, (name, _) in enumerate(network.named_modules())}
        self.proof = Proof(network, images)
        self.reasons: dict[str, str] = {}
        self.fixed: dict[str, None] = {}

    def done(self) -> Anatomy:
        """All of it."""
        widths = self._widths()
        found = self._stages()
        sides = self._kernels()
        kinds = activations(self.network)
        if not kinds:
            self.reasons["activation"] = "none is a module of a known kind; functions cannot change"
        return self._proven(
            Anatomy(
                image_size=int(self.images.shape[-1]),
                refit=self._refit(),
                widths=tuple(widths),
                stages=tuple(found),
                kernels=tuple(sides),
                activations=kinds,
                resolutions=self._resolutions(),
                fixed=tuple(self.fixed),
                reasons=dict(sorted(self.reasons.items(), key=self._place)),
            )
        )

    def _place(self, item: tuple[str, str]) -> tuple[int, str]:
        return self.order.get(item[0], len(self.order)), item[0]

    def _widths(self) -> list[Width]:
        try:
            graph = Graph(copy.deepcopy(self.network), self.images)
            heads = attentions(graph)
            apart = {w for attention in heads for w in attention.writers}
            traced = trace(graph, {self._module(graph, name) for name in apart})
        except Exception as error:
            self.reasons["every width"] = f"the network could not be traced: {error!r}"
            return []
        self.reasons.update(traced.reasons)
        self.fixed.update(dict.fromkeys(apart))
        self.fixed.update(dict.fromkeys(traced.fixed))
        return self._with_attention(traced, heads)

    def _module(self, graph: Graph, name: str) -> nn.Module:
        return graph.network.get_submodule(name)

    def _with_attention(self, traced: Traced, heads: Sequence[Attention]) -> list[Width]:
        """Heads by themselves where the module allows it, else with the stream they read."""
        free, bound = list[Width](), list[Attention]()
        for attention in heads:
            one = with_options(alone(attention, self.network)) if attention.writers else None
            if one is not None and len(one.options) > 1 and self.proof.of_width(one) is None:
                free.append(one)
            else:
                bound.append(attention)
        for width in traced.widths:
            inside = [attention for attention in bound if _reads(attention, width)]
            bound = [attention for attention in bound if attention not in inside]
            joined = tied(width, inside, self.network) if inside else width
            free += self._accepted(with_options(joined), inside)
        for attention in bound:
            self.reasons[attention.module] = (
                "its heads cannot be fewer: the module does not run with them, or has more than "
                "layers of its own for each head"
            )
        return sorted(free, key=lambda width: self.order[width.name])

    def _accepted(self, width: Width, inside: Sequence[Attention]) -> list[Width]:
        if inside:  # no other number of channels can be divided among the heads
            self.fixed.update(dict.fromkeys(width.writers))
        if len(width.options) < 2:
            reason = f"too few channels ({sum(width.sizes)}), or none that can be divided"
        else:
            failure = self.proof.of_width(width)
            if failure is None:
                return [width]
            reason = failure
            self.fixed.update(dict.fromkeys(width.writers))
        self.reasons.update(dict.fromkeys(width.writers, reason))
        return []

    def _stages(self) -> list[Stage]:
        blocks = residual_blocks(self.proof, self.passages)
        for name, reason in blocks.items():
            if reason is not None:
                self.reasons[name] = f"the block cannot be left out: {reason}"
        found = []
        for stage in stages(self.passages, blocks, self.order):
            other = copy.deepcopy(self.proof.network)
            leave_out(other, stage.left_out(stage.least))
            failure = self.proof.failure(other)
            if failure is None:
                found.append(stage)
            else:
                self.reasons[stage.name] = f"blocks of it cannot be left out together: {failure}"
        if not found:
            self.reasons["depth"] = "no residual block keeps its shape, so each one is needed"
        return found

    def _kernels(self) -> list[Kernel]:
        found, reasons = kernels(self.network)
        self.reasons.update(reasons)
        kept = []
        for kernel in found:
            other = copy.deepcopy(self.proof.network)
            shrink(other.get_submodule(kernel.layer), kernel.sides[0])
            failure = self.proof.failure(other)
            if failure is None:
                kept.append(kernel)
            else:
                self.reasons[kernel.layer] = f"its kernel cannot shrink: {failure}"
        if not found:
            self.reasons.setdefault("kernels", "no depthwise layer has a kernel above 3×3")
        return kept

    def _resolutions(self) -> tuple[float, ...]:
        side, found = self.images.shape[-1], list[float]()
        for share in RESOLUTIONS:
            other = copy.deepcopy(self.proof.network)
            failure = self.proof.failure(at_side(other, int(side * share)))
            if failure is None:
                found.append(share)
            else:
                self.reasons["resolution"] = f"it takes no smaller images: {failure}"
        return tuple(found)

    def _refit(self) -> dict[str, str]:
        """The layers that read images and give logits, where the factory is not told their size."""
        told, found = takes(self.source), dict[str, str]()
        ends = {"classes": last_layer, "in_channels": first_layer}
        for meaning, end in ends.items():
            name = end(self.network, self.passages)
            if meaning not in told and name is not None:
                found[meaning] = name
        return found

    def _proven(self, found: Anatomy) -> Anatomy:
        """All of it at its least runs too; where only depth stands in the way, without that."""
        failure = self._least(found)
        if failure is not None and found.stages:
            told = f"narrow widths and fewer blocks do not go together: {failure}"
            found = replace(found, stages=(), reasons={**found.reasons, "depth": told})
            failure = self._least(found)
        if failure is not None:
            raise ConfigError(
                f"space.network={self.source}: each part of it can be made smaller, but not all "
                f"of them at once: {failure}."
            )
        return found

    def _least(self, found: Anatomy) -> str | None:
        """Why the smallest network does not run."""
        other = copy.deepcopy(self.proof.network)
        narrow(other, [(width, width.totals[0]) for width in found.widths])
        for kernel in found.kernels:
            shrink(other.get_submodule(kernel.layer), kernel.sides[0])
        for stage in found.stages:
            leave_out(other, stage.left_out(stage.least))
        return self.proof.failure(other)


def _reads(attention: Attention, width: Width) -> bool:
    """Whether the heads of a module divide the channels of a stream among them."""
    if width.sizes != (attention.size,):
        return False
    if not attention.writers:
        return attention.module in width.layers
    reading = {slot.layer for slot in width.slots if slot.dimension == 1}
    return set(attention.writers) <= reading
