"""Networks with what makes pruning hard, each of a few thousand parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = 5


def _conv(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.Hardswish())


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze and excite, project, add."""

    def __init__(self, width: int = 32, expanded: int = 64) -> None:
        super().__init__()
        self.expand = _conv(width, expanded)
        self.depthwise = _conv(expanded, expanded, 3, groups=expanded)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(expanded, 16, 1),
            nn.ReLU(),
            nn.Conv2d(16, expanded, 1),
            nn.Hardsigmoid(),
        )
        self.project = nn.Sequential(nn.Conv2d(expanded, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        h = self.depthwise(self.expand(x))
        return x + self.project(h * self.gate(h))


class MobileNet(nn.Module):
    """Convolutional: a grey stem, so that its one group is no depthwise one."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = _conv(in_channels, 32, 3)
        self.block = InvertedResidual()
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)).mean((2, 3)))


class Attention(nn.Module):
    """Two heads with a learned bias for 16 positions."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.heads, self.width = 2, width
        self.qkv = nn.Linear(width, 3 * width)
        self.bias = nn.Parameter(torch.zeros(2, 16, 16))
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, positions, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * 0.25 + self.bias).softmax(-1)
        return self.project((weights @ v).transpose(1, 2).reshape(batch, positions, self.width))


class Former(nn.Module):
    """Pooling mixer with layer scale, then attention, on 4 × 4 positions, two averaged heads."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 32, 3, 2, 1), nn.BatchNorm2d(32))
        self.scale = nn.Parameter(torch.full((32, 1, 1), 0.1))
        self.mlp = nn.Sequential(_conv(32, 64), nn.Conv2d(64, 32, 1))
        self.norm = nn.LayerNorm(32)
        self.attention = Attention()
        self.head, self.taught = nn.Linear(32, CLASSES), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.scale * (nn.functional.avg_pool2d(x, 3, 1, 1) - x)
        x = x + self.scale * self.mlp(x)
        tokens = x.flatten(2).transpose(1, 2)  # (B, 16, C)
        tokens = tokens + self.attention(self.norm(tokens))
        return (self.head(tokens.mean(1)) + self.taught(tokens.mean(1))) / 2


class Shuffle(nn.Module):
    """A ShuffleNetV2 unit: half the channels pass, half are transformed, then they are mixed."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = _conv(in_channels, 48, 3)
        self.inner = nn.Sequential(_conv(24, 24), _conv(24, 24, 3, groups=24))
        self.outer = _conv(24, 24)
        self.last = _conv(48, 64)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = self.stem(x).chunk(2, 1)
        x = torch.cat([kept, self.outer(self.inner(changed))], 1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).flatten(1, 2)
        return self.head(self.last(x).mean((2, 3)))


class Concatenated(nn.Module):
    """Two halves under a residual sum: how many each would lose depends on the weights."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = _conv(in_channels, 64, 3)
        self.first, self.second = _conv(64, 32), _conv(64, 32)
        self.last = _conv(64, 32)
        self.head = nn.Conv2d(32, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + torch.cat([self.first(x), self.second(x)], 1)
        return self.head(self.last(x)).mean((2, 3)).flatten(1)


def fixed_layers(network: nn.Module) -> list[nn.Module]:
    """What a space of these networks would say."""
    fixed: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, Attention):
            fixed.append(module.qkv)
        if isinstance(module, Shuffle):
            fixed += [module.stem, module.outer]
    return fixed
