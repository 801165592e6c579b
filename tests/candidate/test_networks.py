"""Published networks by name, from the public face."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import orchestrator
from orchestrator.errors import PluginError


def test_a_network_is_built_by_its_name() -> None:
    with torch.device("meta"):
        network = orchestrator.network("mobilenetv3/large-1.0")
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_483_032
    with torch.device("meta"):
        logits = network.eval()(torch.empty(2, 3, 224, 224))
    assert logits.shape == (2, 1000)


def test_it_has_the_classes_and_channels_asked_for() -> None:
    network = orchestrator.network("shufflenetv2/0.5x", classes=7, in_channels=1).eval()
    assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 7)


def test_weights_follow_from_torch_seed() -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(next(orchestrator.network("squeezenet/1.1", classes=2).parameters()))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_an_unknown_name_is_an_error_that_tells_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"'mobilenetv3/large-1\.0'"):
        orchestrator.network("mobilenetv3/large")


def test_networks_are_listed_by_pattern() -> None:
    names = orchestrator.networks("mobilenet*/*1.0")
    assert set(names) == {
        "mobilenetv1/1.0",
        "mobilenetv2/1.0",
        "mobilenetv3/large-1.0",
        "mobilenetv3/small-1.0",
    }
    assert {name.partition("/")[0] for name in orchestrator.networks("mobile*")} == {
        "mobile_former",
        "mobilenetv1",
        "mobilenetv2",
        "mobilenetv3",
        "mobilevit",
    }
    assert orchestrator.networks("efficientnet/b[0-2]") == [
        f"efficientnet/b{number}" for number in (2, 1, 0)
    ]
    assert orchestrator.networks("nobody*") == []
    assert len(orchestrator.networks()) > 90


def test_the_face_imports_neither_torch_nor_plugins_for_them() -> None:
    source = (
        "import sys, orchestrator; names = ['network', 'networks'];"
        "assert set(names) <= set(orchestrator.__all__);"
        "assert not {'torch', 'orchestrator_spaces', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
