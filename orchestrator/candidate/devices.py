"""The runtimes of a device: each of them at the device's place."""

from __future__ import annotations

from orchestrator.config import DeviceConfig
from orchestrator.contracts import Device
from orchestrator.plugins import Plugins

__all__ = ["make_device"]


def make_device(item: DeviceConfig, plugins: Plugins) -> Device:
    """The device's first runtime, at its place; raises UsageError."""
    device: Device = plugins.create("device", item.name, item.options)
    return device
