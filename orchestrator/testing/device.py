"""The contract suite of devices: call `check_device` in a plugin's own tests."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.contracts import Artifact, Device

__all__ = ["check_device"]

_TOLERANCE = 1e-4
# Between two sessions on a busy machine; an honest protocol is far below it.
_REPEATS_WITHIN = 3.0


class _Network(nn.Module):
    """(B, 3, 16, 16) → (B, 5), with what networks of the field are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.activation = nn.Hardswish()
        self.classifier = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.stem(x)))
        x = x + self.depthwise(x)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def check_device(device: Device, folder: Path, *, final: bool = False) -> None:
    """Raise AssertionError with a sentence if `device` breaks its contract.

    Compiles a small network below `folder` (with the exporter for shipped files if `final`),
    compares its predictions with torch's, and measures it twice. Cost: seconds.
    """
    device.check()
    assert device.formats, f"{device.name} names no format"
    assert device.alignment >= 1, f"alignment is {device.alignment}"
    network = _network()
    example = torch.zeros(1, 3, 16, 16)
    artifact = device.compile(network, example, folder / "checked.network", final=final)
    _check_artifact(device, artifact)
    modes = {name: module.training for name, module in network.named_modules()}
    expected = {name: name != "norm" for name in modes}
    assert modes == expected, "compile changed the network's training modes"
    _check_predictions(device, artifact, network)
    _check_fingerprint(device)
    _check_latency(device, artifact, folder)


def _network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Network()
        network(torch.randn(32, 3, 16, 16))  # the norm's statistics are no longer 0 and 1
    network.train()
    network.norm.eval()  # as one does who freezes it
    return network


def _check_artifact(device: Device, artifact: Artifact) -> None:
    assert artifact.format in device.formats, f"compile wrote {artifact.format!r}"
    assert artifact.path.name.startswith("checked.network."), (
        f"compile was asked for checked.network and a suffix, it wrote {artifact.path.name}"
    )
    assert artifact.size_bytes > 0, "compile wrote an empty file"
    for file in artifact.files:
        assert file.parent == artifact.path.parent, f"{file} lies in another folder"
    assert pickle.loads(pickle.dumps(artifact)) == artifact, "the artifact does not pickle"
    assert pickle.loads(pickle.dumps(device)).name == device.name, "the device does not pickle"


def _check_predictions(device: Device, artifact: Artifact, network: nn.Module) -> None:
    images = np.random.default_rng(0).standard_normal((67, 3, 16, 16)).astype(np.float32)
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    for count in (1, 2, 67):
        found = device.predict(artifact, images[:count])
        assert found.shape == (count, 5), f"{count} images gave logits of shape {found.shape}"
        assert found.dtype == np.float32, f"logits are {found.dtype}"
        error = float(np.abs(found - expected[:count]).max())
        assert error < _TOLERANCE, f"logits differ from torch's by {error}"


def _check_fingerprint(device: Device) -> None:
    fingerprint = device.fingerprint()
    assert fingerprint, "the fingerprint is empty"
    for key, value in fingerprint.items():
        assert isinstance(key, str) and isinstance(value, str), f"{key!r}: {value!r} is no text"
    assert dict(device.fingerprint()) == dict(fingerprint), "the fingerprint changes"


def _check_latency(device: Device, artifact: Artifact, folder: Path) -> None:
    reference_ms = device.calibrate(folder)
    assert math.isfinite(reference_ms) and reference_ms > 0, f"calibrate gave {reference_ms}"
    found = []
    for _ in range(2):
        latencies = device.latencies([artifact, artifact], reference_ms, folder)
        assert len(latencies) == 2, f"two artifacts gave {len(latencies)} latencies"
        for latency in latencies:
            assert math.isfinite(latency.ms) and latency.ms > 0, f"latency is {latency.ms}"
            assert latency.low_ms <= latency.median_ms <= latency.high_ms, f"{latency}"
            found.append(latency.ms)
    spread = max(found) / min(found)
    assert spread < _REPEATS_WITHIN, f"latencies of one file differ by a factor of {spread:.1f}"
