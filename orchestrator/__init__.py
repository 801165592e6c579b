"""Neural architecture search and compression with plugins: the public face.

What a plugin needs is here; nothing heavy is imported by importing it.
"""

from orchestrator import errors
from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    Axis,
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
    Latency,
    Loss,
    Maps,
    NetworkCompressor,
    Objective,
    Offer,
    Outputs,
    Part,
    Place,
    Proposal,
    Published,
    Question,
    Runtime,
    Sampler,
    SamplerContext,
    SearchSpace,
    Session,
    Split,
    Subject,
    TrainingCompressor,
    Trial,
    Usage,
    labels_loss,
    segments,
)
from orchestrator.hookspecs import API, hookimpl
from orchestrator.measuring.agent import Timing, interleave
from orchestrator.plugins import version_of
from orchestrator.records import Choices, Finalist, Genotype, Record, Step

__version__ = version_of("pareto-orchestrator")

__all__ = [
    "API",
    "Artifact",
    "ArtifactCompressor",
    "Axis",
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
    "Latency",
    "Loss",
    "Maps",
    "NetworkCompressor",
    "Objective",
    "Offer",
    "Outputs",
    "Part",
    "Place",
    "Proposal",
    "Published",
    "Question",
    "Record",
    "Runtime",
    "Sampler",
    "SamplerContext",
    "SearchSpace",
    "Session",
    "Split",
    "Step",
    "Subject",
    "Timing",
    "TrainingCompressor",
    "Trial",
    "Usage",
    "__version__",
    "errors",
    "hookimpl",
    "interleave",
    "labels_loss",
    "segments",
]


def __getattr__(name: str) -> object:
    """What moved out of the face, for as long as it is deprecated."""
    if name == "compact_onnx":
        import importlib
        import warnings

        home = "orchestrator_onnxruntime.compact"
        warnings.warn(f"orchestrator.{name} is {home}.{name} now", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
