"""ONNX Runtime as a device, as little as quantization needs, and a network that knows something."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from orchestrator import Artifact


class LocalRuntime:
    """Exports with either exporter and predicts."""

    formats = frozenset({"onnx"})
    alignment = 8

    def compile(self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False):
        target = path.with_suffix(".onnx")
        batch = {0: torch.export.Dim("batch")} if final else {0: "batch"}
        axes = {"dynamic_shapes": (batch,)} if final else {"dynamic_axes": {"images": batch}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (example.repeat(2, 1, 1, 1),),
                str(target),
                input_names=["images"],
                output_names=["logits"],
                dynamo=final,
                opset_version=20 if final else 18,
                external_data=False,
                verbose=False,
                **axes,
            )
        return Artifact(target, "onnx")

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(
            str(artifact.path), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {session.get_inputs()[0].name: images})[0]


def striped_images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy stripes (N, 1, 8, 8), one row or column each, and which one (N,), 4 classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    images = generator.normal(0, 0.3, (count, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images[:, 0], labels, strict=True):
        stripe = image.T if label % 2 else image
        stripe[2 + 3 * (label // 2)] += 2
    return images, labels


class Striped(nn.Module):
    """Convolutions, a depthwise one, squeeze and excite, for 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.Hardswish())
        self.mix = nn.Sequential(
            nn.Conv2d(32, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Conv2d(64, 64, 3, 2, 1, groups=64, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        )  # fmt: skip
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, 64, 1), nn.Hardsigmoid())
        self.head = nn.Linear(64 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.stem(x))
        return self.head((x * self.gate(x)).flatten(1))


def trained(steps: int = 15) -> nn.Module:
    """A network that tells the stripes apart; some 0.2 s."""
    torch.manual_seed(0)
    network = Striped()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(steps):
        images, labels = striped_images(64, seed=step + 1)
        logits = network(torch.from_numpy(images))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()
