"""Networks can be pruned with their fixed layers kept, and exported by the newer exporter."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from networks import fresh, prune
from orchestrator_spaces import orchestrator_search_spaces

from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]


def smallest(family: str):
    space = installed().create("space", family, {"preset": "small"})
    *_, point = space.published().values()
    architecture = space.suggest(FixedTrial(point.choices))
    network = fresh(space, architecture, classes=10, in_channels=1, image_size=32)
    return space, network.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_pruning_halves_the_rest_and_keeps_fixed_outputs(family):
    space, network = smallest(family)
    fixed = list(space.fixed_layers(network))
    before = [layer.weight.shape[0] for layer in fixed]
    params = sum(parameter.numel() for parameter in network.parameters())
    prune(network, [*fixed, network.classifier])
    assert [layer.weight.shape[0] for layer in fixed] == before
    assert sum(parameter.numel() for parameter in network.parameters()) < 0.7 * params
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_newer_exporter_gives_the_same_function_at_any_batch_size(family, tmp_path):
    _, network = smallest(family)
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 32, 32),),
            path,
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    images = torch.randn(5, 1, 32, 32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert np.allclose(logits, network(images).detach(), atol=1e-4)
