"""The fakes of `toys` are held to the contracts that plugins are held to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn
from toy_factory import factory
from toys import Halving, Odd, ToyData, ToyDevice, ToyEstimator

from orchestrator import Classes, CompressionContext
from orchestrator.testing.compressor import check_compressor
from orchestrator.testing.dataset import check_dataset
from orchestrator.testing.device import check_device
from orchestrator.testing.estimator import check_estimator
from orchestrator.testing.objective import check_objective
from orchestrator.testing.toys import ToySpace


def test_the_toy_dataset() -> None:
    check_dataset(ToyData())


def test_the_toy_device(tmp_path: Path) -> None:
    check_device(ToyDevice(), tmp_path)


def test_the_odd_objective() -> None:
    check_objective(Odd(value=3.0))


def test_the_halving_compressor() -> None:
    space, facts = ToySpace(), ToyData().facts
    pixels = np.zeros((8, *facts.shape), np.float32)
    context = CompressionContext(space=space, device=ToyDevice(), calibration=pixels, seed=0)

    def build() -> nn.Module:
        return space.build({"widths": [4]}, facts, Classes(len(facts.classes)))

    check_compressor(Halving(), context, build=build)


def test_the_toy_estimator(toys: None, tmp_path: Path) -> None:
    check_estimator(ToyEstimator(), factory(tmp_path).estimation())
