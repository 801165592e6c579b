"""The published networks of every installed space, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.contracts.space import Published, SearchSpace
from orchestrator.errors import PluginError, closest
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NetworkRow", "build_network", "published_networks"]

PRESET = "full"


@dataclass(frozen=True)
class NetworkRow:
    """One published network's facts; `params` and `macs` hold for 1000 classes and 3 channels.

    `name` is "family/member". `macs` counts one image of `image_size` pixels a side. What nobody
    published is None.
    """

    name: str
    family: str
    params: int
    macs: int | None
    image_size: int
    top1_percent: float | None
    source: str


def published_networks() -> list[NetworkRow]:
    """All members with published parameters, family by family; nothing is built.

    Raises PluginError for a space that does not load.
    """
    return [
        _row(family, member, published)
        for family in installed().offered("space")
        for member, published in _members(family).items()
        if published.params is not None
    ]


def build_network(
    name: str, *, classes: int = 1000, in_channels: int = 3
) -> tuple[nn.Module, Published]:
    """The network called "family/member", untrained, at its published image size.

    Raises PluginError for a name that nobody offers, saying which are near.
    """
    family, _, member = name.partition("/")
    if family not in installed().offered("space") or member not in _members(family):
        valid = [row.name for row in published_networks()]
        raise PluginError(f"no published network is called {name!r}; {closest(name, valid)}")
    space = _space(family)
    published = space.published()[member]
    network = space.build(
        space.suggest(FixedTrial(published.choices)),
        classes=classes,
        in_channels=in_channels,
        image_size=published.image_size,
    )
    return network, published


def _space(family: str) -> SearchSpace:
    space: SearchSpace = installed().create("space", family, {"preset": PRESET})
    return space


def _members(family: str) -> dict[str, Published]:
    """Empty for a space without a preset of full size."""
    if PRESET not in installed().resolve("space", family).presets:
        return {}
    return dict(_space(family).published())


def _row(family: str, member: str, published: Published) -> NetworkRow:
    assert published.params is not None
    return NetworkRow(
        name=f"{family}/{member}",
        family=family,
        params=published.params,
        macs=published.macs,
        image_size=published.image_size,
        top1_percent=published.top1_percent,
        source=published.source,
    )
