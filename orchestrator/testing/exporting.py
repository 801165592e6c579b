"""Whether a network is still the same function once a device has compiled it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts.device import Device
from orchestrator.plugins import installed

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["compiled_difference", "first_device"]


def compiled_difference(device: Device, network: nn.Module, images: Tensor) -> float:
    """How far an answer of the compiled network is from `network`'s, for `images` (B, C, H, W).

    A share of the largest answer where that is above 1. The network is left in eval mode; it is
    compiled for one image, so that what fixes the batch size is found.
    """
    import numpy as np
    import torch

    network.eval()
    with torch.no_grad():
        wanted = network(images).numpy()
    with tempfile.TemporaryDirectory() as folder:
        artifact = device.compile(network, images[:1], Path(folder) / "network")
        found = device.predict(artifact, images.numpy())
    return float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))


def first_device() -> Device:
    """The first device that is installed."""
    plugins = installed()
    name = next(iter(plugins.offered("device")))
    device: Device = plugins.create("device", name, {})
    return device
