"""An example plugin: a search space, an objective and a compressor for very small devices."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = [
    "orchestrator_compressors",
    "orchestrator_config_dirs",
    "orchestrator_objectives",
    "orchestrator_search_spaces",
]


@hookimpl
def orchestrator_config_dirs() -> list[str]:
    """The YAML that makes `+search=tiny` work."""
    return ["pkg://orchestrator_tiny.conf"]


@hookimpl
def orchestrator_search_spaces() -> list[Offer]:
    """One space."""
    return [
        Offer(
            name="tiny",
            target="orchestrator_tiny.space:TinySpace",
            summary="plain and separable convolutions, thousands of parameters",
        )
    ]


@hookimpl
def orchestrator_objectives() -> list[Offer]:
    """One objective."""
    return [
        Offer(
            name="tiny_ram_bytes",
            target="orchestrator_tiny.ram:PeakRam",
            summary="working memory that a microcontroller needs for activations",
        )
    ]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """One compressor."""
    return [
        Offer(
            name="tiny_codebook",
            target="orchestrator_tiny.codebook:Codebook",
            summary="weights of an ONNX file as indices into a few shared values",
            needs=("onnx",),
        )
    ]
