"""Families of light networks, each around its published members; one family, one file."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_search_spaces"]


@hookimpl
def orchestrator_search_spaces() -> list[Offer]:
    """The families of this package."""
    return [
        Offer(
            "efficientformer",
            "orchestrator_spaces.efficientformer:EfficientFormerSpace",
            "pooling blocks on maps (4D), attention blocks on tokens (3D); L1, L3, L7",
        ),
        Offer(
            "mobilenetv3",
            "orchestrator_spaces.mobilenetv3:MobileNetV3Space",
            "inverted residuals with squeeze-and-excitation; Large, Small, minimalistic",
        ),
        Offer(
            "shufflenetv2",
            "orchestrator_spaces.shufflenetv2:ShuffleNetV2Space",
            "channel split and shuffle, with the units of single-path one-shot; 0.5x to 2.0x",
        ),
    ]
