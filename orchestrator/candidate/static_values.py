"""Static objectives of candidates that nobody has built yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.candidate.assembly import Assembly
from orchestrator.contracts import NetworkCompressor, Objective, Subject
from orchestrator.records import Genotype
from orchestrator.training.building import build_network
from orchestrator.training.outlines import Outlines

if TYPE_CHECKING:
    from torch import nn

__all__ = ["StaticValues"]


class StaticValues:
    """Counts in outline what shapes alone tell, and builds what they do not.

    An outline costs a tenth of building and counting, or less. It is drawn where the space says
    that it may be (`SearchSpace.outlined`), all static objectives go by shapes, and nothing changes
    the network before it is trained. `obstacle` says why none is drawn, empty where some are.
    """

    def __init__(
        self,
        assembly: Assembly,
        preview: Callable[[Genotype], nn.Module],
        measure: Callable[[Objective, Subject], float],
    ) -> None:
        self._assembly = assembly
        self._preview = preview
        self._measure = measure
        self._outlines = Outlines()
        needing = [t.name for t in assembly.tier("static") if not t.objective.by_shapes]
        self.obstacle = f"{needing[0]} looks at weights" if needing else ""

    def of(self, genotype: Genotype) -> dict[str, float]:
        """Every static objective of the network in its final shape; raises CandidateError."""
        trouble = ""
        if self._outlined(genotype):
            try:
                return self._values(genotype, self._outlines.draw(partial(self._built, genotype)))
            except Exception as error:
                trouble = f"{type(error).__name__}: {error}"
        values = self._values(genotype, self._preview(genotype))
        # The network can be built, so that it is outlines that do not suit the space.
        self.obstacle = trouble or self.obstacle
        return values

    def _outlined(self, genotype: Genotype) -> bool:
        if self.obstacle:
            return False
        if not self._assembly.space.outlined(genotype.architecture):
            self.obstacle = f"space {genotype.space!r} does not say that its blocks are known by"
            self.obstacle += " their arguments (SearchSpace.outlined)"
            return False
        return not any(self._assembly.compression.active(NetworkCompressor, genotype))

    def _built(self, genotype: Genotype) -> nn.Module:
        assembly = self._assembly
        return build_network(
            assembly.space, genotype, assembly.facts, seed=None, task=assembly.task
        )

    def _values(self, genotype: Genotype, network: nn.Module) -> dict[str, float]:
        subject = Subject(genotype, network, self._assembly.facts.shape)
        return {
            target.name: self._measure(target.objective, subject)
            for target in self._assembly.tier("static")
        }
