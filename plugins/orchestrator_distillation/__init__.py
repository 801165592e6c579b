"""Knowledge distillation: a student learns a teacher's answers."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Distillation by soft and by hard labels."""
    return [
        Offer(
            name="distillation",
            target="orchestrator_distillation.compressor:Distillation",
            summary="trains towards a teacher's softened probabilities or its hard labels",
        )
    ]
