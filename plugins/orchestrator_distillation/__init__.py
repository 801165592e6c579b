"""Knowledge distillation: a student learns a teacher's probabilities."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Soft-label distillation."""
    return [
        Offer(
            name="distillation",
            target="orchestrator_distillation.soft_labels:SoftLabelDistillation",
            summary="trains towards a teacher's softened probabilities",
        )
    ]
