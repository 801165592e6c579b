"""Working memory for activations, the tightest limit of a microcontroller.

A layer reads its input and writes its output, so both are in memory at once; the peak over the
layers is what must fit (Lin et al. 2020, MCUNet, arXiv:2007.10319). Normalisation and activation
functions work in place once a network is deployed and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Objective, Subject
from orchestrator.errors import BuildError, ConfigError

__all__ = ["PeakRam"]

COUNTED = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class PeakRam(Objective):
    """The largest sum of one layer's inputs and outputs, batch 1.

    Exact for a chain of layers; what a residual branch keeps beside them is not seen.
    `bytes_per_value` is 4 for float32 and 1 for int8 activations.
    """

    name = "tiny_ram_bytes"
    unit = "bytes"
    direction = "minimize"
    tier = "static"
    summary = "peak of a layer's inputs and outputs together"

    def __init__(self, *, bytes_per_value: int = 4) -> None:
        if bytes_per_value < 1:
            raise ConfigError(f"bytes_per_value is {bytes_per_value}, expected at least 1.")
        self.bytes_per_value = bytes_per_value

    def measure(self, subject: Subject) -> float:
        """The peak; raises BuildError for a network without a layer that counts."""
        return float(max(self._layers(subject).values()) * self.bytes_per_value)

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """Which layer it is."""
        layers = self._layers(subject)
        return {"layer": max(layers, key=lambda name: layers[name])}

    def _layers(self, subject: Subject) -> dict[str, int]:
        """Layer → number of values it reads and writes."""
        network = subject.network
        device = next(network.parameters()).device
        with _watched(network) as values, torch.no_grad(), _evaluating(network):
            network(torch.zeros(1, *subject.input_shape, device=device))
        if not values:
            raise BuildError("the network has no convolution, linear or pooling layer to count.")
        return values


@contextmanager
def _watched(network: nn.Module) -> Iterator[dict[str, int]]:
    values: dict[str, int] = {}
    hooks = []
    for name, layer in network.named_modules():
        if isinstance(layer, COUNTED):

            def count(_: nn.Module, inputs: tuple[Any, ...], out: Tensor, name: str = name) -> None:
                values[name] = max(values.get(name, 0), inputs[0].numel() + out.numel())

            hooks.append(layer.register_forward_hook(count))
    try:
        yield values
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """In training mode a forward pass would change BatchNorm's statistics."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
