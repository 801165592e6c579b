"""Quantization-aware training leaves a plain network and ranges that an int8 file can write."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import tiny_networks as tiny
import torch
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime
from orchestrator_qat.compressor import QuantizationAwareTraining
from orchestrator_qat.fakes import first_ranges, rounding
from orchestrator_qat.places import find_places
from torch import Tensor, nn

from orchestrator import CompressionContext, errors
from orchestrator.contracts.orders import legal_orders
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

NETWORKS = [tiny.MobileNet, tiny.Former, tiny.Shuffle, tiny.Concatenated]
IMAGES = np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype(np.float32)
A_WHILE = {"share": 0.3}


class Residual(nn.Module):
    """Convolutions with norms and ReLU6 under a sum, pooled: what int8 runtimes take whole."""

    def __init__(self, act: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1), nn.BatchNorm2d(16), act())
        self.block = Block(16, act)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.block(self.stem(x))).flatten(1))


class Block(nn.Module):
    def __init__(self, width: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, 32, 1), nn.BatchNorm2d(32), act())
        self.spread = nn.Sequential(
            nn.Conv2d(32, 32, 3, 1, 1, groups=32), nn.BatchNorm2d(32), act()
        )
        self.project = nn.Sequential(nn.Conv2d(32, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.spread(self.expand(x)))


def context(retrain=lambda network, share: None) -> CompressionContext:
    return CompressionContext(None, OnnxRuntime(), IMAGES, seed=0, retrain=retrain)


def settled(build) -> nn.Module:
    """With norms that have seen images."""
    torch.manual_seed(0)
    network = build()
    for _ in range(20):
        network(torch.from_numpy(IMAGES))
    return network.eval()


@pytest.mark.parametrize("build", NETWORKS)
def test_it_fulfils_the_contract(build):
    check_compressor(QuantizationAwareTraining(), context(), build=build)


@pytest.mark.parametrize("build", [*NETWORKS, Residual])
def test_nothing_of_the_rounding_stays(build):
    network = settled(build)
    before, twin = repr(network), copy.deepcopy(network)
    QuantizationAwareTraining().compress(network, A_WHILE, context())
    assert repr(network) == before
    assert list(network.state_dict()) == list(twin.state_dict())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    images = torch.from_numpy(IMAGES)
    torch.testing.assert_close(network.eval()(images), twin.eval()(images))


def test_what_is_left_after_a_training_that_fails_is_plain(monkeypatch):
    def fail(network: nn.Module, share: float) -> None:
        raise errors.TrainingError("diverged")

    network = settled(Residual)
    before = list(network.state_dict())
    with pytest.raises(errors.TrainingError):
        QuantizationAwareTraining().compress(network, A_WHILE, context(fail))
    assert list(network.state_dict()) == before


def test_training_sees_rounded_weights_and_activations_and_moves_plain_ones():
    seen: dict[str, Tensor] = {}

    def retrain(network: nn.Module, share: float) -> None:
        network.train()
        network.stem.register_forward_hook(lambda m, x, y: seen.update(stem=y.detach()))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        network(torch.from_numpy(IMAGES)).square().mean().backward()
        seen["weight"] = network.stem[0].weight.detach()
        optimizer.step()

    network = settled(Residual)
    before = network.stem[0].weight.detach().clone()
    QuantizationAwareTraining().compress(network, A_WHILE, context(retrain))
    assert len(seen["stem"].unique()) <= 256
    assert all(len(channel.unique()) <= 9 for channel in seen["weight"])
    assert 0 < (network.stem[0].weight - before).abs().max() < 0.1


def test_weights_that_were_pruned_away_stay_so():
    def retrain(network: nn.Module, share: float) -> None:
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
        network.train()(torch.from_numpy(IMAGES)).square().mean().backward()
        optimizer.step()

    network = settled(Residual)
    with torch.no_grad():
        network.head.weight[:, ::2] = 0
    QuantizationAwareTraining().compress(network, A_WHILE, context(retrain))
    assert network.head.weight.eq(0).sum() == 32


def test_ranges_follow_what_training_sees():
    def retrain(network: nn.Module, share: float) -> None:
        network.train()
        for _ in range(50):
            network(torch.from_numpy(10 * IMAGES))

    asked = context(retrain)
    QuantizationAwareTraining().compress(settled(Residual), A_WHILE, asked)
    low, high = asked.ranges["activations"]["stem.0:in"]
    assert 5 * IMAGES.max() < high < 10 * IMAGES.max()
    assert 10 * IMAGES.min() < low < 5 * IMAGES.min()


def test_tensors_are_rounded_where_integer_runtimes_have_them():
    places = find_places(settled(Residual), torch.from_numpy(IMAGES[:2]))
    assert places.weights == [
        "stem.0",
        "block.expand.0",
        "block.spread.0",
        "block.project.0",
        "head",
    ]
    assert places.inputs == ["stem.0"]
    assert places.outputs == [
        *("stem.2", "block.expand.2", "block.spread.2", "block.project.1", "block", "pool", "head")
    ]


@pytest.mark.parametrize(
    ("act", "exporter"),
    [(nn.ReLU6, "torchscript"), (nn.ReLU6, "dynamo"), (nn.Hardswish, "torchscript")],
)
def test_the_int8_file_answers_as_the_rounded_network_within_a_step(act, exporter, tmp_path):
    network, asked = settled(lambda: Residual(act)), context()
    QuantizationAwareTraining().compress(network, A_WHILE, asked)
    learned = asked.ranges["activations"]
    device = OnnxRuntime(exporter=exporter)
    plain = device.compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "it")
    asked = replace(asked, network=network)
    int8 = Quantization().transform(plain, {"scheme": "int8"}, asked)
    images = torch.from_numpy(IMAGES)
    with rounding(network, find_places(network, images[:2]), learned), torch.no_grad():
        wanted = network(images).numpy()
    low, high = learned["head:out"]
    step = (max(high, 0) - min(low, 0)) / 255
    assert np.abs(device.predict(int8, IMAGES) - wanted).max() <= 1.01 * step
    told = asked.ranges["quantization.learned"]
    assert told == {"written": len(learned), "learned": len(learned)}


def test_ranges_of_another_network_are_refused(tmp_path):
    network, asked = settled(Residual), context()
    plain = OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "it")
    nn.init.ones_(network.stem[0].weight)
    asked.ranges["activations"] = {"stem.0:out": [-1.0, 1.0]}
    with pytest.raises(errors.CompressionError, match=r"none of 1 range .* not compiled"):
        Quantization().transform(plain, {"scheme": "int8"}, replace(asked, network=network))
    with pytest.raises(errors.CompressionError, match="found no network"):
        Quantization().transform(plain, {"scheme": "int8"}, asked)


def test_pruning_comes_before_and_int8_after():
    made = {
        name: installed().create("compressor", name, {})
        for name in ("quantization", "qat", "pruning")
    }
    assert legal_orders(made, frozenset({"onnx"})) == [("pruning", "qat", "quantization")]


def test_first_ranges_are_the_extremes():
    network = settled(Residual)
    found = first_ranges(
        network, find_places(network, torch.from_numpy(IMAGES)), [torch.from_numpy(IMAGES)]
    )
    assert found["stem.0:in"] == [IMAGES.min(), IMAGES.max()]


def test_a_preview_and_no_share_are_left_as_they_are():
    network = settled(Residual)
    preview = replace(context(), retrain=None)
    assert QuantizationAwareTraining().compress(network, A_WHILE, preview) is network
    assert not preview.ranges
    assert QuantizationAwareTraining().suggest(FixedTrial({"qat.share": 0.0})) == {}


def test_what_it_cannot_round_is_said():
    empty = replace(context(), calibration=IMAGES[:0])
    with pytest.raises(errors.CompressionError, match="needs training images"):
        QuantizationAwareTraining().compress(settled(Residual), A_WHILE, empty)
    scaled = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
    with pytest.raises(errors.CompressionError, match="no convolution and no linear layer"):
        QuantizationAwareTraining().compress(scaled, A_WHILE, context())
    with pytest.raises(errors.ConfigError, match="shares"):
        QuantizationAwareTraining(shares=(-1.0,))
