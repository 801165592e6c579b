"""Networks of real spaces in bundles, ONNX files of them, and a runtime for those."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime
from orchestrator_pruning.channels import ChannelPruning
from torch import nn

from orchestrator import (
    Artifact,
    Classes,
    CompressionContext,
    Genotype,
    ImageFacts,
    PixelRecipe,
    Step,
)
from orchestrator.bundle import BundleContents
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

FACTS = ImageFacts(16, 1, tuple("abcde"), (0.5,), (0.25,), "CC-BY-4.0")


class LocalRuntime:
    name, formats, alignment = "local", frozenset({"onnx"}), 8

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(str(artifact.path))
        answers: np.ndarray = session.run(None, {session.get_inputs()[0].name: images})[0]
        return answers


def make(name: str, facts: ImageFacts = FACTS, seed: int = 3, ratio: float = 0.5) -> BundleContents:
    """A pruned network of a space, with statistics that are not those of a fresh one."""
    torch.manual_seed(seed)
    space = installed().create("space", name, {"preset": "small"})
    architecture = space.suggest(RandomTrial(seed))
    network = space.build(architecture, facts, Classes(len(facts.classes)))
    images = torch.randn(32, *facts.shape)
    device: Any = SimpleNamespace(alignment=8)
    context = CompressionContext(space, device, images.numpy(), seed=0)
    compression: tuple[Step, ...] = (Step("pruning", {"ratio": ratio}),) if ratio else ()
    for step in compression:
        network = ChannelPruning().compress(network, step.choices, context)
    _settle(network, images)
    genotype = Genotype(name, "small", architecture, compression)
    figures = {"accuracy": 0.987654321, "latency_ms": 1.5, "note": "a|b"}
    recipe = PixelRecipe(facts.image_size, facts.in_channels)
    return BundleContents(genotype, network, facts, figures=figures, pixels=recipe)


def compiled(network: nn.Module, path: Path) -> Artifact:
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 1, 16, 16),),
            str(path),
            dynamo=False,
            opset_version=18,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch"}},
        )
    return Artifact(path, "onnx", exact=True)


def exported(folder: Path) -> BundleContents:
    """With an ONNX file and its int8 version."""
    bundle = make("efficientformer")
    exact = compiled(bundle.network, folder / "model.onnx")
    images = np.random.default_rng(0).normal(size=(16, 1, 16, 16)).astype(np.float32)
    unasked: Any = None
    context = CompressionContext(unasked, unasked, images, seed=0)
    int8 = Quantization().transform(exact, {"scheme": "int8"}, context)
    usage = OnnxRuntime().usage(int8)
    files = {"fp32": exact, "int8": int8}
    return replace(bundle, artifacts=files, recommended="int8", usage=usage)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "genotype.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def drop(folder: Path, *names: str) -> None:
    path = folder / "genotype.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({name: facts[name] for name in facts if name not in names}))


def _settle(network: nn.Module, images: torch.Tensor) -> None:
    """Let batch norms know the images: else a deep untrained network answers a constant."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.momentum = 1.0
    network.train()(images)
    for norm in norms:
        norm.momentum = momentum
