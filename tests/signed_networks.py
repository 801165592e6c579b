"""Networks that differ in what a file's signature should tell, or in what it should not."""

from __future__ import annotations

import torch
from torch import nn


def network(
    width: int = 8, *, limit: float = 6.0, trained: bool = False, depth: int = 2
) -> nn.Module:
    """Norms of an untrained network are all alike, so that exporters store them once."""
    torch.manual_seed(int(trained))
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3)]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.Hardtanh(0.0, limit)]
    layers += [nn.Conv2d(width, 1, 1), nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, 2)]
    made = nn.Sequential(*layers)
    if trained:
        for tensor in (*made.parameters(), *made.buffers()):
            if tensor.is_floating_point():
                tensor.data.uniform_(0.1, 1.0)
    return made.eval()
