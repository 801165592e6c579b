"""What all families have in common: presets as tables, and the images a network works at.

A family's file holds its tables, its network and what its search asks; this is the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from orchestrator import Classes, ImageFacts, Outputs, SearchSpace, Trial
from orchestrator.errors import BuildError
from orchestrator_spaces.blocks.convention import check_convention, follow
from orchestrator_spaces.blocks.resolution import ImageShape, side_of

__all__ = ["Family"]

# Shares of the dataset's image size that a network may work at.
RESOLUTIONS = {"full": (0.5, 0.625, 0.75, 0.875, 1.0), "small": (0.5, 0.75, 1.0)}

TableT = TypeVar("TableT")


class Family(SearchSpace, Generic[TableT]):
    """A space whose presets are `tables` of what a network may be.

    `convention` is one of `CONVENTIONS`: what weights from another framework need, so that networks
    compute what those were trained for. Other than "torch" it is part of every architecture.
    """

    tables: ClassVar[Mapping[str, Any]]
    distinct = True

    def __init__(self, *, preset: str = "small", convention: str = "torch") -> None:
        super().__init__(preset=preset)
        check_convention(convention)
        self.convention = convention
        self.table: TableT = self.tables[preset]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """What `ask` gives, and the convention."""
        architecture = self.ask(trial)
        if self.convention != "torch":
            architecture["convention"] = self.convention
        return architecture

    @abstractmethod
    def ask(self, trial: Trial) -> dict[str, Any]:
        """Draw an architecture, as `SearchSpace.suggest`."""

    def ask_resolution(self, trial: Trial) -> float:
        """The share of the dataset's image size the network works at, as choice "resolution"."""
        return float(trial.suggest_categorical("resolution", list(RESOLUTIONS[self.preset])))

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        """A classifier; raises BuildError for images smaller than `least_side`, and for maps."""
        if not isinstance(outputs, Classes):
            raise BuildError(
                f"{self.name} builds classifiers, found {outputs}; a task puts a head for maps on "
                "what `features` gives."
            )
        network = self.classifier(architecture, self.image(architecture, facts), outputs.count)
        return self.conventional(network, architecture)

    def outlined(self, architecture: Mapping[str, Any]) -> bool:
        """Unless a convention changes layers within blocks."""
        return bool(architecture.get("convention", "torch") == "torch")

    def conventional(self, network: nn.Module, architecture: Mapping[str, Any]) -> nn.Module:
        """`network` after the architecture's own convention, whatever the space's is."""
        return follow(network, architecture.get("convention", "torch"))

    def image(self, architecture: Mapping[str, Any], facts: ImageFacts) -> ImageShape:
        """The images, and the size the network works at; raises BuildError as `build`."""
        side = side_of(
            facts.image_size,
            architecture["resolution"],
            least=self.least_side(architecture),
            multiple=self.side_step(architecture),
        )
        return ImageShape(facts.in_channels, facts.image_size, side)

    @abstractmethod
    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network, from (B, in_channels, size, size) to (B, classes)."""

    @abstractmethod
    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Pixels a side of the smallest image the network takes: mostly its total stride."""

    def side_step(self, architecture: Mapping[str, Any]) -> int:
        """Of how many pixels the network's images are a multiple."""
        return 1
