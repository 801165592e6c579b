"""Whether a bundle can teach a search's images, and what is done where they differ a little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.contracts import ImageFacts
from orchestrator.data import DataSummary
from orchestrator.errors import ConfigError, plural

__all__ = ["Renormalised", "check_fit", "other_images", "renormalised"]

_NAMED = 3
_MEND = "Give a network trained on the same images, or teacher=null."


class Renormalised(nn.Module):
    """A network that is given images normalised for another: (B, C, H, W) → its answer."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, given: ImageFacts, own: ImageFacts) -> None:
        super().__init__()
        self.network = network
        there, here = ((_column(f.mean), _column(f.deviation)) for f in (own, given))
        self.register_buffer("scale", here[1] / there[1])
        self.register_buffer("shift", (here[0] - there[0]) / there[1])

    def forward(self, images: Tensor) -> Tensor:
        """The network's own answer to the same pixels."""
        answer: Tensor = self.network(images * self.scale + self.shift)
        return answer


def renormalised(network: nn.Module, given: ImageFacts, own: ImageFacts) -> nn.Module:
    """The network itself where images are normalised as its own were."""
    alike = (given.mean, given.deviation) == (own.mean, own.deviation)
    return network if alike else Renormalised(network, given, own)


def check_fit(told: str, own: ImageFacts, facts: ImageFacts) -> None:
    """Raise ConfigError for a teacher of other classes, order, channels or size of image."""
    _check_classes(told, own.classes, facts.classes)
    for what, found, expected in (
        ("channels", own.in_channels, facts.in_channels),
        ("pixels a side", own.image_size, facts.image_size),
    ):
        if found != expected:
            option = "in_channels" if what == "channels" else "image_size"
            raise ConfigError(
                f"teacher: {told} looks at images of {found} {what}, expected the dataset's "
                f"{expected}. Set dataset.{option}={found}, or teacher=null."
            )


def _check_classes(told: str, own: tuple[str, ...], classes: tuple[str, ...]) -> None:
    if own == classes:
        return
    if len(own) != len(classes):
        raise ConfigError(
            f"teacher: {told} knows {plural(len(own), 'class')}, expected the dataset's "
            f"{len(classes)}. {_MEND}"
        )
    if sorted(own) == sorted(classes):
        at = next(
            n for n, (one, other) in enumerate(zip(own, classes, strict=True)) if one != other
        )
        raise ConfigError(
            f"teacher: {told} has the dataset's classes in another order (its class {at} is "
            f"{own[at]!r}, the dataset's {classes[at]!r}), so that it would teach wrong labels. "
            f"{_MEND}"
        )
    strange = [name for name in own if name not in classes][:_NAMED]
    raise ConfigError(
        f"teacher: {told} knows classes that the dataset has not, such as {', '.join(strange)}; "
        f"expected {', '.join(classes[:_NAMED])} …. {_MEND}"
    )


def other_images(told: str, stored: Mapping[str, Any], data: DataSummary) -> list[str]:
    """A note where a teacher was trained on other images than the search's, if it says so."""
    if not stored.get("data"):
        return []
    own = DataSummary.from_json(stored["data"])
    if own.fingerprints.get("train") == data.fingerprints.get("train"):
        return []
    return [
        f"teacher: {told} was trained on other images (fingerprint "
        f"{own.fingerprints.get('train', 'unknown')}) than this search's "
        f"({data.fingerprints.get('train', 'unknown')}). If images of validation or test are among "
        "them, figures are too high."
    ]


def _column(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).reshape(1, -1, 1, 1)
