"""A device whose files hold the whole network, so that they may be moved, and what changes them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from toys import ToyDevice

from orchestrator import (
    Artifact,
    ArtifactCompressor,
    Axis,
    NetworkCompressor,
    Offer,
    TrainingCompressor,
    hookimpl,
)
from orchestrator.errors import CompressionError

# What searches of them are for.
AXES = [
    Axis("accuracy", "share", "maximize", reference=0.0, leads=True),
    Axis("latency_ms", "ms", "minimize", reference=1e6),
]


class WholeDevice(ToyDevice):
    """A network is pickled to its file and comes back from it."""

    name = "whole"
    formats = frozenset({"whole"})
    quantizers: ClassVar[tuple[str, ...]] = ("rounding",)

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        file = path.with_name(f"{path.name}.whole")
        file.write_bytes(_pickled(network))
        return Artifact(file, "whole", exact=True)

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            answers: np.ndarray = _loaded(artifact.path)(torch.from_numpy(images)).numpy()
        return answers


class OtherWhole(WholeDevice):
    """The same under another name, whose files are its own."""

    name = "other_whole"
    quantizers: ClassVar[tuple[str, ...]] = ()

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        file = path.with_name(f"{path.name}.other")
        file.write_bytes(_pickled(network))
        return Artifact(file, "other", exact=True)

    formats = frozenset({"other"})


class Learning(NetworkCompressor):
    """Learns how fine the steps are that `Rounding` rounds weights to."""

    name = "learning"
    changes = frozenset({"values"})

    def suggest(self, trial: Any) -> Mapping[str, Any]:
        return {"learn": True} if trial.suggest_categorical("learning.learn", [False, True]) else {}

    def compress(self, network: Any, choices: Any, context: Any) -> Any:
        context.ranges["step"] = 1 / 128
        return network


class Softening(TrainingCompressor):
    """Trains towards labels that are half the truth and half of what a first look answers."""

    name = "softening"

    def suggest(self, trial: Any) -> Mapping[str, Any]:
        chosen = trial.suggest_categorical("softening.soft", [False, True])
        return {"soft": True} if chosen else {}

    def loss(self, choices: Any, context: Any) -> Any:
        def softened(images: Any, logits: Any, targets: Any) -> Any:
            wanted = (targets + logits.detach().softmax(1)) / 2
            return context.loss(images, logits, wanted)

        return softened


class Rounding(ArtifactCompressor):
    """Rounds weights to steps, learnt ones if there are any; `fails` does not."""

    name = "rounding"
    requires = frozenset({"whole"})
    provides = frozenset({"quantized"})
    conflicts = frozenset({"quantized"})

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    def suggest(self, trial: Any) -> Mapping[str, Any]:
        schemes = ["none", "int8"]
        scheme = trial.suggest_categorical(f"{self.name}.scheme", schemes)
        return {} if scheme == "none" else {"scheme": scheme}

    def transform(self, artifact: Artifact, choices: Any, context: Any) -> Artifact:
        if self.fails:
            raise CompressionError("it does not round today\nand says so at length")
        network, step = _loaded(artifact.path), context.ranges.get("step", 1 / 64)
        with torch.no_grad():
            for weight in network.parameters():
                weight.copy_((weight / step).round() * step)
        file = artifact.path.with_suffix(f".int8.{artifact.format}")
        file.write_bytes(_pickled(network))
        return Artifact(file, artifact.format, label="int8")


class OtherRounding(Rounding):
    """The same for files of the other device."""

    name = "other_rounding"
    requires = frozenset({"other"})


class WholePlugin:
    @hookimpl
    def orchestrator_devices(self) -> list[Offer]:
        return [
            Offer("whole", "whole_files:WholeDevice", ""),
            Offer("other_whole", "whole_files:OtherWhole", ""),
        ]

    @hookimpl
    def orchestrator_compressors(self) -> list[Offer]:
        return [
            Offer("learning", "whole_files:Learning", ""),
            Offer("softening", "whole_files:Softening", ""),
            Offer("rounding", "whole_files:Rounding", ""),
            Offer("other_rounding", "whole_files:OtherRounding", ""),
        ]


def _pickled(network: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.save(network.eval(), file)
    return file.getvalue()


def _loaded(path: Path) -> Any:
    return torch.load(path, weights_only=False)
