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
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.objective import Axis, Budget, Direction, Objective, Subject, Tier
from orchestrator.contracts.observer import Study
from orchestrator.contracts.offer import Offer
from orchestrator.contracts.orders import legal_orders
from orchestrator.contracts.outputs import Classes, Maps, Outputs
from orchestrator.contracts.place import HERE, Here, Place
from orchestrator.contracts.question import Question
from orchestrator.contracts.runtime import Runtime, Session
from orchestrator.contracts.sampler import Ground, History, Proposal, Sampler, SamplerContext
from orchestrator.contracts.space import Part, Published, SearchSpace, Trial, segments

__all__ = [
    "HERE",
    "Artifact",
    "ArtifactCompressor",
    "Axis",
    "Budget",
    "Change",
    "Classes",
    "CompressionContext",
    "Compressor",
    "Dataset",
    "Device",
    "Direction",
    "Estimate",
    "EstimationContext",
    "Estimator",
    "Ground",
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
    "Runtime",
    "Sampler",
    "SamplerContext",
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
