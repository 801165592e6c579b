"""Whether a space's names stand for roles, so that its architectures can share weights.

Where one name means different things in two architectures (a running block number that depth
shifts, channels that a shuffle permutes by width), shared weights are pulled both ways and stay
poor, however long they train. So the trained store is held against a few networks that were
trained alone for a tenth as long: a sound store does about as well or better, a mixed one has
been seen at a fifth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from orchestrator.contracts import ImageFacts
from orchestrator.errors import plural
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.judging import inherited_figure
from orchestrator.supernet.path_training import Setting
from orchestrator.supernet.pool import Subnet
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.footing import Footing
from orchestrator.training.placement import device_of

__all__ = ["Verdict", "judge", "mixed_roles"]

_LEAST_SCORE = 0.5
_CONTROLS = 3
_CONTROL_SHARE = 0.1
_LOOKED_AT = 64
_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """The mean leading metric with shared weights and after `epochs` alone, both in [0, 1].

    `mixed` are parameters whose name stands for several roles, `widths` those whose number of
    inputs varies; both are looked for only in a store that did poorly.
    """

    inherited: float
    control: float
    chance: float
    epochs: int = 0
    mixed: tuple[str, ...] = ()
    widths: tuple[str, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether the shared weights are worth having."""
        learnt = self.control - self.chance
        return self.inherited - self.chance >= _LEAST_SCORE * max(0.0, learnt)

    @property
    def sentence(self) -> str:
        """What the user is told."""
        figures = (
            f"{self.inherited:.1%} with shared weights, {self.control:.1%} trained alone for "
            f"{plural(self.epochs, 'epoch')}"
        )
        if self.admitted:
            return f"shared weights are sound: {figures}"
        told = f"weights are not shared, every candidate is trained: {figures}."
        if self.mixed:
            return (
                f"{told} Names of parameters mix roles, though a name must mean the same in every "
                f"architecture: {_listed(self.mixed)}."
            )
        return (
            f"{told} They may need longer (estimator.epochs). Where that does not help, channels "
            "change their order with the width, though a narrow network's must be the first of a "
            f"wide one's: look at what feeds {_listed(self.widths)}."
        )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    told = ", ".join(names[:_NAMED]) or "no parameter in particular"
    return f"{told} and {rest} more" if rest > 0 else told


def judge(
    borrower: Borrower, paths: Sequence[Subnet], footing: Footing, setting: Setting, images: int
) -> Verdict:
    """Compare a few paths of different size; costs a tenth of the store's training for each."""
    step = max(1, len(paths) // (_CONTROLS + 1))
    chosen = list(paths[step::step][:_CONTROLS]) or list(paths[:1])
    inherited, control = [], []
    epochs = max(2, round(_CONTROL_SHARE * setting.recipe.epochs))
    for path in chosen:
        network = borrower.get(path.genotype).network
        inherited.append(inherited_figure(network, footing, images=images))
        alone = borrower.build(path.genotype, seed=setting.recipe.seed)
        run = TrainRun(epochs=epochs, seed=setting.recipe.seed)
        control.append(train(alone, footing, setting.train, run).curve[-1])
    verdict = Verdict(
        inherited=sum(inherited) / len(inherited),
        control=sum(control) / len(control),
        chance=footing.task.chance(footing.facts),
        epochs=epochs,
    )
    if verdict.admitted:
        return verdict
    return replace(
        verdict,
        mixed=tuple(mixed_roles(borrower, paths)),
        widths=tuple(_widths_vary(borrower, paths)),
    )


def mixed_roles(borrower: Borrower, paths: Sequence[Subnet]) -> list[str]:
    """Parameters that work at different depths of downsampling in different architectures."""
    seen: dict[str, set[int]] = {}
    for path in paths[:: max(1, len(paths) // _LOOKED_AT)]:
        network = borrower.get(path.genotype).network
        for name, level in _levels(network, borrower.facts).items():
            seen.setdefault(name, set()).add(level)
    return [name for name, levels in seen.items() if len(levels) > 1]


def _widths_vary(borrower: Borrower, paths: Sequence[Subnet]) -> list[str]:
    """Weights whose number of inputs varies: what a permutation of channels would spoil."""
    seen: dict[str, set[int]] = {}
    for path in paths[:: max(1, len(paths) // _LOOKED_AT)]:
        network = borrower.get(path.genotype).network
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                seen.setdefault(name, set()).add(parameter.shape[1])
    return [name for name, widths in seen.items() if len(widths) > 1]


def _levels(network: nn.Module, facts: ImageFacts) -> Mapping[str, int]:
    """Parameter → how often its layer's map is halved against the first layer's."""
    sides: dict[str, float] = {}

    def watch(name: str) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(output, Tensor) and output.dim() in (3, 4):
                places = output[0, 0].numel() if output.dim() == 4 else output.shape[1]
                if places > 1:  # a pooled map, as in squeeze-and-excitation, is no level
                    sides.setdefault(name, math.sqrt(places))

        handles.append(modules[name].register_forward_hook(hook))

    modules = {n: m for n, m in network.named_modules() if m._parameters}
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in modules:
        watch(name)
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *facts.shape, device=device_of(network)))
    finally:
        for handle in handles:
            handle.remove()
    first = next(iter(sides.values()), 1.0)
    return {
        f"{name}.{leaf}": round(math.log2(first / side))
        for name, side in sides.items()
        for leaf in modules[name]._parameters
    }
