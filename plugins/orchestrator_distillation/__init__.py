"""Knowledge distillation: a student learns a teacher's answers."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Distillation by soft labels, hard labels and features."""
    return [
        Offer(
            name="distillation",
            target="orchestrator_distillation.compressor:Distillation",
            summary="trains towards a teacher's probabilities, its hard labels, or where it looks",
        )
    ]
