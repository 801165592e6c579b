"""What compressors do on devices after the first, which may read files of another format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.contracts import ArtifactCompressor, Compressor
from orchestrator.contracts.orders import obstacle

__all__ = ["Beyond", "Formats"]

# What the runtimes of a device read, by their names; its first one first.
Formats = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Beyond:
    """Compressors by name, the `first` device's formats and those of `further` ones.

    A step of the file is done on each device that takes it. Some take no file of the first device
    and one of another: these are for that one alone, and what is done here does not meet them.
    """

    compressors: Mapping[str, Compressor]
    first: Formats
    further: Sequence[Formats] = ()

    @cached_property
    def alone(self) -> tuple[str, ...]:
        """The compressors that change files of further devices alone, in their order."""
        here, there = _together([self.first]), _together(self.further)
        return tuple(
            name
            for name, made in self.compressors.items()
            if isinstance(made, ArtifactCompressor)
            and not made.requires & here
            and made.requires & there
        )

    @property
    def formats(self) -> frozenset[str]:
        """Of all runtimes of all devices."""
        return _together([self.first, *self.further])

    def joined(
        self,
        orders: Sequence[tuple[str, ...]],
        names: set[str],
        before: Sequence[str],
        runtime: str,
    ) -> list[tuple[str, ...]]:
        """Orders of what is done on the first device, with those of `names` that are for others.

        They come last, and orders of which a further device cannot take its part are left out.
        `before` is what was done before any of it.
        """
        last = [name for name in self.alone if name in names]
        whole = [(*order, *last) for order in orders]
        return [order for order in whole if self._legal((*before, *order), last, runtime)]

    def _legal(self, order: Sequence[str], last: Sequence[str], runtime: str) -> bool:
        """Whether each of `last` is done somewhere, and nothing hinders it there."""
        waiting = set(last)
        for formats in self._formats(runtime) if last else ():
            there = [name for name in order if self._taken(name, formats)]
            if not waiting.isdisjoint(there) and not self._follow(there, formats):
                return False
            waiting.difference_update(there)
        return not waiting

    def _formats(self, runtime: str) -> Iterator[frozenset[str]]:
        for device in self.further:
            yield device.get(runtime, next(iter(device.values())))

    def _taken(self, name: str, formats: frozenset[str]) -> bool:
        """Whether a step is done on a device of these formats."""
        made = self.compressors[name]
        wanted = made.requires & self.formats
        return not isinstance(made, ArtifactCompressor) or not wanted or bool(wanted & formats)

    def _follow(self, order: Sequence[str], provided: frozenset[str]) -> bool:
        """Whether nothing hinders any of them in this order."""
        for name in order:
            if obstacle(self.compressors[name], provided):
                return False
            provided |= self.compressors[name].provides
        return True


def _together(devices: Sequence[Formats]) -> frozenset[str]:
    return frozenset[str]().union(*(formats for found in devices for formats in found.values()))
