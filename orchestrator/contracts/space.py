"""A search space: which architectures there are, and how one becomes a plain network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from orchestrator.contracts.checkpoint import Checkpoint
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.old_build import taking_both_forms
from orchestrator.contracts.outputs import Classes, Outputs
from orchestrator.errors import BuildError
from orchestrator.records import Architecture, Choices

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Part", "Published", "SearchSpace", "Trial", "segments"]

# Which entries of one dimension: a slice, or indices where no slice will do.
Part = slice | tuple[int, ...]


def segments(full: int, wanted: int, count: int) -> tuple[int, ...]:
    """The leading part of each of `count` equal segments of a dimension.

    For what is laid out one after another along one dimension: query, key and value of a fused
    projection, the groups of a grouped convolution, the halves of a concatenation.
    """
    if full % count or wanted % count:
        raise ValueError(f"found {full} and {wanted}, expected multiples of {count}")
    long, short = full // count, wanted // count
    return tuple(start * long + place for start in range(count) for place in range(short))


class Trial(Protocol):
    """The part of an Optuna trial that a space or a compressor may use."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`; a name always comes with the same choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer in [low, high]."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""


@dataclass(frozen=True)
class Published:
    """A named point of a space: a network from a paper, or that network scaled to small images.

    `choices` are the answers to `suggest`, name → value, active ones only. `params`, `macs` and
    `top1_percent` are the published facts (1000 classes, 3 channels); None where a point is our
    own scaling and nobody published figures for it.
    """

    choices: Choices
    image_size: int
    source: str
    params: int | None = None
    macs: int | None = None
    top1_percent: float | None = None


class SearchSpace(ABC):
    """A family of networks with choices.

    One instance stands for one preset: "full" holds the published networks, "small" suits 32×32
    images on two cores. Options come as keyword arguments of the constructor.

    Weights can be shared between a space's networks when names are roles: a parameter of the same
    role carries the same name in every architecture, different operators at one position carry
    different names (`stages.2.blocks.3.mb4d.…`, `stages.2.blocks.3.mb3d.…`), and each stage has
    a container of its own so that one stage's depth never renames another's blocks.

    `serves` are the kinds of outputs its networks can have. A space with a pyramid of maps serves
    `Maps` by `features`, on which a task puts its own head.
    """

    name: ClassVar[str]
    presets: ClassVar[tuple[str, ...]] = ("full", "small")
    serves: ClassVar[frozenset[type]] = frozenset({Classes})
    # Choices that leave the features as they are: not asked for a task that brings its own head.
    classifier_choices: ClassVar[frozenset[str]] = frozenset()

    # Whether architectures that differ never build the same network, as `check_space` holds; of
    # another space the search compares networks, which costs it a build for each proposal.
    distinct: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.build = taking_both_forms(cls.build)  # type: ignore[method-assign]

    def __init__(self, *, preset: str = "small") -> None:
        self.preset = preset

    @abstractmethod
    def suggest(self, trial: Trial) -> Architecture:
        """Draw an architecture, define-by-run; a choice is asked only where it has an effect.

        Returns JSON values in canonical form: equal networks give equal architectures.
        """

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one form of all architectures that build the same network.

        For a space whose choices cannot be asked so that equal networks come of equal answers.
        What differs in nothing else is one candidate. By default what `suggest` gave.
        """
        return architecture

    @abstractmethod
    def build(self, architecture: Architecture, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        """A plain module from (B, *facts.shape) to what `outputs` says.

        Weights are drawn from torch's global generator. Raises BuildError for an architecture
        that does not fit the image size.

        A network with several classifiers may offer a method `heads(images)`, (B, heads, classes):
        first what learns the labels, then what learns from a teacher. `forward` is their mean.
        """

    def features(self, architecture: Architecture, facts: ImageFacts) -> nn.Module:
        """The network without its classifier, from (B, *facts.shape) to a tuple of maps.

        The module's attributes `channels` and `strides`, tuples of integers, are those of the maps;
        strides rise. Map i is (B, channels[i], ceil(side / strides[i]), ceil(side / strides[i])),
        where the attribute `side` is the image size the network works at: `facts.image_size`, or
        less where an architecture resizes its images. Parameters have the names they have in the
        classifier. Raises BuildError as `build`, and where a space has no maps.
        """
        raise BuildError(
            f"{self.name} gives no maps, it serves "
            f"{', '.join(sorted(kind.__name__ for kind in self.serves))}. Choose another space."
        )

    def published(self) -> Mapping[str, Published]:
        """The named points of this preset, tried first by every search; may be empty."""
        return {}

    def outlined(self, architecture: Architecture) -> bool:
        """Whether that network may be drawn in outline, to be counted without being built.

        Its blocks are then made by classes and functions that are `orchestrator.outlined`, and what
        the space does to modules once they are made leaves shapes alone. `check_space` compares
        outlines with networks.
        """
        return False

    def unchanged(self) -> Mapping[str, str]:
        """What no architecture changes though a user might expect it to, and why; mostly empty.

        A layer's name, or what it is about → a sentence's end: "a grouped convolution, …". `plan`
        shows it as a table.
        """
        return {}

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """Trained weights of named points, by a short name, the one to prefer first; may be empty.

        Only the preset "full" has any, as nobody publishes weights of a network scaled down.
        """
        return {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> Mapping[str, Tensor]:
        """A released state dict under this space's names; `naming` as a `Checkpoint` tells it.

        Every tensor of the member's network, and nothing else: the caller compares all names and
        shapes, the classifier's of the checkpoint's own classes included, and refuses the rest.
        `num_batches_tracked` may be left out.
        """
        return state

    def derive(self, name: str, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """A trained parameter of a name that is not among the trained `tensors`, made from them.

        For what is named by the image size, such as positions of another grid of patches; its
        widths are those of `tensors`, and networks take their part of it as of any other. None
        where there is nothing to make it from: it starts untrained.
        """
        return None

    def resampled(self, name: str, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """A trained `tensor` for a network in which `name` has that shape; mostly as it is.

        For what goes by the image size under the same name. A width or a kernel is none of that:
        networks take their part of what comes back. Raises SharingError where it cannot be done.
        """
        return tensor

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """Layers of `network` whose number of outputs pruning must not change.

        Attention projections and layers that feed a channel shuffle belong here; what follows
        from pruning their inputs is still allowed. The classifier is always kept.

        Heads of attention may be sorted whole where the module that has them offers a method
        `head_layers()`: (layers whose tensors hold one head after another along dimension 0,
        layers that read heads along dimension 1 of their weight, number of heads). They may be left
        out whole where its forward goes by its attribute `heads`, that number.
        """
        return ()

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """Which part of the shared parameter or buffer `name` an architecture uses.

        `full` is the shared shape, `wanted` the architecture's, which is nowhere larger; the
        answer has one part a dimension, each with as many entries as wanted. None takes the
        default: the leading slice of each dimension, and the centre of a convolution's kernel.
        Slices are views of the shared memory; indices (see `segments`) cost a copy a step.
        """
        return None
