"""Neural architecture search and compression with plugins: the public face.

What a plugin needs is here; nothing heavy is imported by importing it.
"""

from importlib.metadata import PackageNotFoundError, version

from orchestrator import errors
from orchestrator.compact import compact_onnx
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
    Proposal,
    Published,
    Question,
    Sampler,
    SamplerContext,
    SearchSpace,
    Split,
    Subject,
    TrainingCompressor,
    Trial,
    labels_loss,
    segments,
)
from orchestrator.hookspecs import hookimpl
from orchestrator.measuring.timing import Timing, interleave
from orchestrator.records import Choices, Genotype, Record, Step

try:
    __version__ = version("pareto-orchestrator")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
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
    "Genotype",
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
    "Proposal",
    "Published",
    "Question",
    "Record",
    "Sampler",
    "SamplerContext",
    "SearchSpace",
    "Split",
    "Step",
    "Subject",
    "Timing",
    "TrainingCompressor",
    "Trial",
    "__version__",
    "compact_onnx",
    "errors",
    "hookimpl",
    "interleave",
    "labels_loss",
    "segments",
]
