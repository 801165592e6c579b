"""Neural architecture search and compression with plugins: the public face.

What a plugin needs is here; nothing heavy is imported by importing it.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator import errors
from orchestrator.contracts import (
    ArraySamples,
    Artifact,
    ArtifactCompressor,
    Axis,
    Batch,
    Budget,
    Classes,
    CompressionContext,
    Compressor,
    Dataset,
    Device,
    Estimate,
    EstimationContext,
    Estimator,
    Here,
    History,
    ImageFacts,
    Images,
    Judge,
    Latency,
    Loss,
    Maps,
    Metric,
    MetricObjective,
    NetworkCompressor,
    Objective,
    Offer,
    Outputs,
    Part,
    Place,
    Placement,
    Proposal,
    Published,
    Question,
    Runtime,
    Sampler,
    SamplerContext,
    Samples,
    SearchSpace,
    Session,
    Split,
    Subject,
    Task,
    Trainer,
    Training,
    TrainingCompressor,
    Trial,
    Usage,
    WeightStore,
    labels_loss,
    segments,
)
from orchestrator.hookspecs import API, hookimpl
from orchestrator.measuring.agent import Timing, interleave
from orchestrator.plugins import version_of
from orchestrator.records import Choices, Finalist, Genotype, Record, Step

if TYPE_CHECKING:
    from orchestrator.candidate.networks import network, networks
    from orchestrator.config import TrainConfig
    from orchestrator.training.augmentation import crop, erase, mirror, mix, soft_targets

# What needs torch or pydantic, or looks at every plugin, is imported when it is asked for.
_LATER = {
    "TrainConfig": "orchestrator.config",
    **dict.fromkeys(("network", "networks"), "orchestrator.candidate.networks"),
    **dict.fromkeys(
        ("crop", "erase", "mirror", "mix", "soft_targets"), "orchestrator.training.augmentation"
    ),
}

__version__ = version_of("pareto-orchestrator")

__all__ = [
    "API",
    "ArraySamples",
    "Artifact",
    "ArtifactCompressor",
    "Axis",
    "Batch",
    "Budget",
    "Choices",
    "Classes",
    "CompressionContext",
    "Compressor",
    "Dataset",
    "Device",
    "Estimate",
    "EstimationContext",
    "Estimator",
    "Finalist",
    "Genotype",
    "Here",
    "History",
    "ImageFacts",
    "Images",
    "Judge",
    "Latency",
    "Loss",
    "Maps",
    "Metric",
    "MetricObjective",
    "NetworkCompressor",
    "Objective",
    "Offer",
    "Outputs",
    "Part",
    "Place",
    "Placement",
    "Proposal",
    "Published",
    "Question",
    "Record",
    "Runtime",
    "Sampler",
    "SamplerContext",
    "Samples",
    "SearchSpace",
    "Session",
    "Split",
    "Step",
    "Subject",
    "Task",
    "Timing",
    "TrainConfig",
    "Trainer",
    "Training",
    "TrainingCompressor",
    "Trial",
    "Usage",
    "WeightStore",
    "__version__",
    "crop",
    "erase",
    "errors",
    "hookimpl",
    "interleave",
    "labels_loss",
    "mirror",
    "mix",
    "network",
    "networks",
    "segments",
    "soft_targets",
]


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for, and what moved out of the face."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name == "compact_onnx":
        home = "orchestrator_onnxruntime.compact"
        warnings.warn(f"orchestrator.{name} is {home}.{name} now", DeprecationWarning, stacklevel=2)
        return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
