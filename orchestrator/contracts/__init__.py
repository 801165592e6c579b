"""The contracts a plugin fulfils: one abstract noun a file."""

from orchestrator.contracts.compressor import (
    ArtifactCompressor,
    Change,
    CompressionContext,
    Compressor,
    Loss,
    NetworkCompressor,
    TrainingCompressor,
    labels_loss,
)
from orchestrator.contracts.dataset import Dataset, Images, Split
from orchestrator.contracts.device import Artifact, Device, Latency, Usage
from orchestrator.contracts.estimator import Estimate, EstimationContext, Estimator
from orchestrator.contracts.objective import Axis, Direction, Objective, Subject, Tier
from orchestrator.contracts.observer import Study
from orchestrator.contracts.offer import Offer
from orchestrator.contracts.orders import legal_orders
from orchestrator.contracts.place import HERE, Here, Place
from orchestrator.contracts.runtime import Runtime, Session
from orchestrator.contracts.space import Part, Published, SearchSpace, Trial, segments

__all__ = [
    "HERE",
    "Artifact",
    "ArtifactCompressor",
    "Axis",
    "Change",
    "CompressionContext",
    "Compressor",
    "Dataset",
    "Device",
    "Direction",
    "Estimate",
    "EstimationContext",
    "Estimator",
    "Here",
    "Images",
    "Latency",
    "Loss",
    "NetworkCompressor",
    "Objective",
    "Offer",
    "Part",
    "Place",
    "Published",
    "Runtime",
    "SearchSpace",
    "Session",
    "Split",
    "Study",
    "Subject",
    "Tier",
    "TrainingCompressor",
    "Trial",
    "Usage",
    "labels_loss",
    "legal_orders",
    "segments",
]
