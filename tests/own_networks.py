"""Classifiers as their users write them: nothing here knows of Orchestrator.

ResNet-18 (He et al. 2015, arXiv:1512.03385), MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)
and ViT-Tiny (Dosovitskiy et al. 2020, arXiv:2010.11929), and narrow ones for tests.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

MOBILENETV2 = (
    # expansion, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class BasicBlock(nn.Module):
    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or in_planes != planes:
            shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._layer(width, width, 1)
        self.layer2 = self._layer(width, 2 * width, 2)
        self.layer3 = self._layer(2 * width, 4 * width, 2)
        self.layer4 = self._layer(4 * width, 8 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)

    def _layer(self, in_planes: int, planes: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(in_planes, planes, stride), BasicBlock(planes, planes, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(num_classes, in_channels, 64)


def narrow_resnet18(num_classes: int, in_channels: int) -> nn.Module:
    return ResNet(num_classes, in_channels, 16)


class InvertedResidual(nn.Module):
    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = inp * expand_ratio
        self.use_shortcut = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers += [nn.Conv2d(inp, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int, in_channels: int, width: float) -> None:
        super().__init__()
        channels = max(8, int(32 * width) // 8 * 8)
        stem = nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False)
        features = [nn.Sequential(stem, nn.BatchNorm2d(channels), nn.ReLU6())]
        for expansion, out, blocks, stride in MOBILENETV2:
            for block in range(blocks):
                wide = max(8, int(out * width) // 8 * 8)
                step = stride if block == 0 else 1
                features.append(InvertedResidual(channels, wide, step, expansion))
                channels = wide
        last = int(1280 * max(1.0, width) if width >= 1 else 320)
        head = nn.Conv2d(channels, last, 1, bias=False)
        features.append(nn.Sequential(head, nn.BatchNorm2d(last), nn.ReLU6()))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


def mobilenetv2(classes: int, in_channels: int) -> nn.Module:
    return MobileNetV2(classes, in_channels, 1.0)


def narrow_mobilenetv2(classes: int, in_channels: int) -> nn.Module:
    return MobileNetV2(classes, in_channels, 0.5)


class Attention(nn.Module):
    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention = ((q @ k.transpose(-2, -1)) * self.scale).softmax(-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(dim, 4 * dim), act=nn.GELU(), fc2=nn.Linear(4 * dim, dim))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, num_classes: int, in_chans: int, img_size: int, **sizes: int) -> None:
        super().__init__()
        dim, patch = sizes["dim"], sizes["patch"]
        self.patch_embed = nn.Conv2d(in_chans, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + (img_size // patch) ** 2, dim))
        self.blocks = nn.Sequential(*(Block(dim, sizes["heads"]) for _ in range(sizes["depth"])))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def vit_tiny(num_classes: int, in_chans: int, img_size: int) -> nn.Module:
    return VisionTransformer(num_classes, in_chans, img_size, dim=192, heads=3, depth=12, patch=16)


def narrow_vit(num_classes: int, in_chans: int, img_size: int) -> nn.Module:
    return VisionTransformer(num_classes, in_chans, img_size, dim=48, heads=3, depth=4, patch=8)


class Plain(nn.Module):
    """No arguments, functions for activations, a flattened map, and control flow on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.second = nn.Conv2d(16, 32, 3, 2, 1)
        self.grouped = nn.Conv2d(32, 32, 3, 1, 1, groups=4)
        self.spatial = nn.Conv2d(32, 32, 7, 1, 3, groups=32)
        self.hidden = nn.Linear(2 * 32 * 4 * 4, 64)
        self.last = nn.Linear(64, 1000)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and float(x.abs().max()) < 0:  # what no symbolic tracer follows
            return x
        x = functional.relu(self.first(x))
        x = functional.avg_pool2d(functional.relu(self.second(x)), 2)  # 4×4 of 32×32
        x = torch.cat([self.spatial(x), self.grouped(x)], dim=1).flatten(1)
        return self.last(functional.relu(self.hidden(x)))


def plain() -> nn.Module:
    return Plain()


def sized(num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """A flattened map: its last layer is as large as the images."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (image_size // 2) ** 2, num_classes),
    )
