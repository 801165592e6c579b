"""The published networks of every installed space, by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.objective import Subject
from orchestrator.contracts.space import Published, SearchSpace
from orchestrator.errors import OrchestratorError, PluginError, closest
from orchestrator.plugins import installed
from orchestrator.records import Genotype
from orchestrator.training.building import build_network
from orchestrator.trials import FixedTrial

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "CountedNetwork",
    "NetworkRow",
    "build_published",
    "counted_networks",
    "network",
    "networks",
    "published_networks",
]

PRESET = "full"


@dataclass(frozen=True)
class NetworkRow:
    """One published network's facts; `params` and `macs` hold for 1000 classes and 3 channels.

    `name` is "family/member". `macs` counts one image of `image_size` pixels a side. What nobody
    published is None.
    """

    name: str
    family: str
    params: int | None
    macs: int | None
    image_size: int
    top1_percent: float | None
    source: str


@dataclass(frozen=True)
class CountedNetwork:
    """What our own counters find in a network of ours beside what is published of it."""

    row: NetworkRow
    params: int
    macs: int

    @property
    def agrees(self) -> bool:
        """Whether both counts equal the published ones; what nobody published agrees."""
        return self.row.params in (None, self.params) and self.row.macs in (None, self.macs)


def network(name: str, *, classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """The published network called "family/member", untrained: (B, C, H, W) → (B, classes) logits.

    It is built for images of the published size. Weights are drawn from torch's global generator.
    Raises PluginError for a name that nobody offers, saying which are near.
    """
    return build_published(name, classes=classes, in_channels=in_channels)[0]


def networks(pattern: str = "*") -> list[str]:
    """The names of published networks that match, such as "mobile*" or "*/b[0-3]".

    In the order of families and, within one, of its published list. Nothing is built. Raises
    PluginError for a space that does not load.
    """
    return [row.name for row in published_networks() if fnmatchcase(row.name, pattern)]


def published_networks(parts: Sequence[str] = ()) -> list[NetworkRow]:
    """The published members of all families, or those whose name holds one of `parts`.

    Nothing is built. A space that does not load has none, and is among the plugins' problems.
    Raises PluginError for a part that no name holds.
    """
    rows = [
        _row(family, member, published)
        for family, members in installed().each("space", _members).items()
        for member, published in members.items()
    ]
    found = {part: {row.name for row in rows if part.lower() in row.name.lower()} for part in parts}
    for part, names in found.items():
        if not names:
            raise PluginError(_unknown_part(part, rows))
    wanted = set().union(*found.values())
    return [row for row in rows if row.name in wanted or not parts]


def counted_networks(rows: Iterable[NetworkRow]) -> Iterator[CountedNetwork]:
    """Build each network on the meta device and count it; about 50 ms each.

    The counters are the objectives `params` and `macs`. Raises PluginError, naming the network,
    for one that cannot be built or counted.
    """
    import torch

    counters = {name: installed().create("objective", name, {}) for name in ("params", "macs")}
    for row in rows:
        try:
            with torch.device("meta"):
                built, point = build_published(row.name)
            genotype = Genotype(row.family, PRESET, dict(point.choices))
            subject = Subject(genotype, built, (3, row.image_size, row.image_size))
            counts = {name: round(counter.measure(subject)) for name, counter in counters.items()}
        except OrchestratorError as error:
            raise PluginError(f"{row.name} cannot be counted: {error}") from error
        yield CountedNetwork(row, **counts)


def build_published(
    name: str, *, classes: int = 1000, in_channels: int = 3
) -> tuple[nn.Module, Published]:
    """The network called "family/member", untrained, at its published image size.

    Raises PluginError for a name that nobody offers, saying which are near.
    """
    family, _, member = name.partition("/")
    if family not in installed().offered("space") or member not in _members(family):
        rows = published_networks()
        valid = [row.name for row in rows if row.family == family] or [row.name for row in rows]
        raise PluginError(f"no published network is called {name!r}; {closest(name, valid)}")
    space = _space(family)
    published = space.published()[member]
    genotype = Genotype(family, PRESET, space.suggest(FixedTrial(published.choices)))
    facts = ImageFacts.unnamed(published.image_size, in_channels=in_channels, classes=classes)
    return build_network(space, genotype, facts, seed=None), published


def _space(family: str) -> SearchSpace:
    space: SearchSpace = installed().create("space", family, {"preset": PRESET})
    return space


def _members(family: str) -> dict[str, Published]:
    """Empty for a space without a preset of full size."""
    if PRESET not in installed().resolve("space", family).presets:
        return {}
    return dict(_space(family).published())


def _row(family: str, member: str, published: Published) -> NetworkRow:
    return NetworkRow(
        name=f"{family}/{member}",
        family=family,
        params=published.params,
        macs=published.macs,
        image_size=published.image_size,
        top1_percent=published.top1_percent,
        source=published.source,
    )


def _unknown_part(part: str, rows: Sequence[NetworkRow]) -> str:
    """Names the families, and those members that are near."""
    names = [row.name for row in rows]
    members = names if "/" in part else [name.partition("/")[2] for name in names]
    near = difflib.get_close_matches(part.lower(), members)
    families = {row.family for row in rows}
    return f"no published network has {part!r} in its name; {closest(part, families.union(near))}"
