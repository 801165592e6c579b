"""Channel pruning: every group of channels loses a share of them.

Which layers must lose channels together is found by tracing (Fang et al. 2023, DepGraph,
arXiv:2301.12900), MLPs of token blocks included; which channels go is decided by a criterion, see
`criteria`. How many go depends on choices and structure alone where every group loses the same
share, so that an untrained preview has the shapes of the trained network.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from orchestrator import CompressionContext, Trial, channel_graph, evaluated, tied_layers
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_pruning.checking import check_forward, example
from orchestrator_pruning.criteria import CRITERIA, Criterion, Importance, importance_of
from orchestrator_pruning.gradients import gate_effects
from orchestrator_pruning.pruning import FineTuning, Pruning
from orchestrator_pruning.sensitivity import Sensitivity, handed_out, most_of, sensitivities

__all__ = ["ChannelPruning"]

Spread = Literal["even", "sensitivity"]


class ChannelPruning(Pruning):
    """Removes channels, calibrates batch norm and trains the rest for a while.

    `ratios` in [0, 1) are what the search chooses from; 0 means no pruning. `criteria` of
    "magnitude", "taylor" and "median" are for it to choose from too. Channels left are rounded
    down to a multiple of `round_to`, by default the device's alignment, of which one stays, so the
    share really removed differs from the ratio in narrow layers; both are told. `spread`
    "sensitivity" takes more where the loss minds less, from 0 to 1.5 times the ratio of a group,
    the ratio as a mean over multiply-adds. `max_drop` finds the ratio instead, see `Pruning`.
    `retrain_share` is the share of the candidate's epochs that follow, 0 for none, and `steps` in
    how many steps it gets there; `teacher_share` is how much of that training's loss follows a
    teacher, by default the network as it was. Cost beside training: about 0.2 s, and a pass over
    the calibration images.
    """

    name = "pruning"
    calibration_images = 256

    def __init__(
        self,
        *,
        ratios: tuple[float, ...] = (0.0, 0.25, 0.5),
        criteria: tuple[Criterion, ...] = ("magnitude",),
        spread: Spread = "even",
        max_drop: float | None = None,
        round_to: int | None = None,
        retrain_share: float = 0.3,
        steps: int = 1,
        teacher_share: float = 0.5,
    ) -> None:
        super().__init__(ratios, max_drop, FineTuning(retrain_share, steps, teacher_share))
        if not criteria or len(set(criteria)) < len(criteria) or not set(criteria) <= set(CRITERIA):
            raise ConfigError(
                f"compressor.pruning.criteria: found {criteria}, expected some of "
                f"{', '.join(CRITERIA)}"
            )
        if spread not in ("even", "sensitivity"):
            raise ConfigError(
                f"compressor.pruning.spread: found {spread!r}, expected 'even' or 'sensitivity'"
            )
        if round_to is not None and round_to < 1:
            raise ConfigError(f"compressor.pruning.round_to: found {round_to}, expected 1 or more")
        self.criteria = criteria
        self.spread = spread
        self.round_to = round_to
        self.foreseen = self.foreseen and spread == "even"

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"ratio": share of channels}, with what is not usual beside it, or {} for none."""
        choices = dict(super().suggest(trial))
        if not choices:
            return {}
        criterion: str = self.criteria[0]
        if len(self.criteria) > 1:
            criterion = trial.suggest_categorical("pruning.criterion", list(self.criteria))
        if criterion != "magnitude":
            choices["criterion"] = criterion
        return choices if self.spread == "even" else {**choices, "spread": self.spread}

    def remover(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> _ChannelRemover:
        """Traced once, so that ratios are of the channels there were at first."""
        round_to = self.round_to or context.device.alignment
        return _ChannelRemover(network, choices, context, round_to)


class _ChannelRemover:
    """Torch-Pruning's graph of one network, taken to larger and larger ratios."""

    def __init__(
        self,
        network: nn.Module,
        choices: Mapping[str, Any],
        context: CompressionContext,
        round_to: int,
    ) -> None:
        self.network = network
        self.context = context
        self.round_to = round_to
        self.aligned = context.device.alignment
        # Random weights have no gradients worth looking at, and criteria do not change shapes.
        self.criterion: Criterion = "magnitude" if context.preview else _criterion(choices)
        self.uneven = choices.get("spread") == "sensitivity"
        self.images = example(network, context)
        self.layers = dict(_channels(network))
        with evaluated(network), _following("pruning"):
            fixed = context.fixed_layers(network)
            self.fixed = [*fixed, *_tied(network, self.images, fixed)]
        self.pruner: Any = None
        self.sensitivity: list[Sensitivity] = []

    @property
    def achieved(self) -> float:
        """Of the channels that all layers give."""
        left = dict(_channels(self.network))
        return 1 - sum(left.values()) / sum(self.layers.values())

    @property
    def obstacle(self) -> str:
        """What keeps every channel."""
        whose = "the device's alignment" if self.round_to == self.aligned else "round_to"
        return f"no group of channels is free and wider than {whose} of {self.round_to}"

    def __call__(self, ratio: float) -> nn.Module:
        """Until that share is gone, or as much as alignment allows; raises CompressionError."""
        with evaluated(self.network):
            importance = self._importance()
            with _following("pruning"):
                if self.pruner is None:
                    self.pruner = self._pruner(importance)
                self.pruner.importance = importance
                self._aim(ratio)
                self.pruner.step()
            check_forward(self.network, self.images)
        return self.network

    def _aim(self, ratio: float) -> None:
        """Tell the pruner what its next step goes to, for each group by itself where they differ.

        The smallest that may come is previewed: every group at its most.
        """
        pruner = self.pruner
        pruner.current_step = 0
        even = most_of(ratio) if self.uneven and self.context.preview else ratio
        pruner.per_step_pruning_ratio = [0.0, even]
        for layer, share in handed_out(self.sensitivity, ratio).items():
            pruner.pruning_ratio_dict[layer] = [0.0, share]

    def _importance(self) -> Importance:
        effects = {}
        if self.criterion == "taylor":
            effects = gate_effects(self.network, self.context)
        return importance_of(self.criterion, effects)

    def _pruner(self, importance: Importance) -> Any:
        if self.uneven and not self.context.preview:
            found = sensitivities(self.network, self.fixed, importance, self.context)
            self.sensitivity = found
        return _Pruner(
            self.network,
            self.images,
            importance=importance,
            pruning_ratio_dict={each.layer: 0.0 for each in self.sensitivity},
            global_pruning=False,
            round_to=self.round_to,
            ignored_layers=self.fixed,
            forward_fn=_forward,
            # The defaults are dictionaries shared between all pruners of the process.
            in_channel_groups={},
            out_channel_groups={},
            num_heads={},
        )


class _Pruner(torch_pruning.pruner.BasePruner):  # type: ignore[misc]
    """Of every group one multiple stays; Torch-Pruning keeps a group whole that would vanish."""

    def _round_to(self, n_pruned: int, current_channels: int, round_to: int) -> int:
        left = current_channels - n_pruned
        kept = max(round_to, left - left % round_to)
        return max(0, current_channels - kept)


def _criterion(choices: Mapping[str, Any]) -> Criterion:
    chosen: Criterion = choices.get("criterion", "magnitude")
    return chosen


def _channels(network: nn.Module) -> Iterator[tuple[str, int]]:
    """Each layer that gives channels, and how many."""
    for name, layer in network.named_modules():
        if isinstance(layer, _ConvNd):
            yield name, layer.out_channels
        elif isinstance(layer, nn.Linear):
            yield name, layer.out_features


def _tied(network: nn.Module, images: Tensor, fixed: Sequence[nn.Module]) -> list[nn.Module]:
    """Layers whose channels are those of a fixed layer, so that they are too.

    Cost: a trace, a fifth of all that pruning takes, so it is spared where nothing is fixed.
    """
    if not fixed:
        return []
    graph = channel_graph(network, images)
    modules = [module for layer in fixed for module in layer.modules()]
    nodes = [graph.module2node[module] for module in modules if module in graph.module2node]
    return tied_layers(graph, nodes)


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    """Given to the tracer, which else tries network(*images) first: an image without a batch."""
    logits: Tensor = network(images)
    return logits


@contextmanager
def _following(what: str) -> Iterator[None]:
    """What the tracer raises is a candidate's error. It follows autograd's graph.

    Bare parameters (layer scale) are found by Torch-Pruning itself; it warns of each.
    """
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
            yield
    except CompressionError:
        raise
    except Exception as error:
        raise CompressionError(f"{what} could not follow the network: {error!r}") from error
