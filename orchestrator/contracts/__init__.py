"""The contracts a plugin fulfils: one abstract noun a file."""

from orchestrator.contracts.checkpoint import Checkpoint, Start
from orchestrator.contracts.compressor import (
    ArtifactCompressor,
    Change,
    CompressionContext,
    Compressor,
    Loss,
    NetworkCompressor,
    Retrain,
    TrainingCompressor,
    labels_loss,
)
from orchestrator.contracts.dataset import (
    ArraySamples,
    Dataset,
    Images,
    Samples,
    Split,
    samples_of,
)
from orchestrator.contracts.device import Artifact, Device, Gauge, Kernel, Latency, Usage
from orchestrator.contracts.estimator import (
    Estimate,
    EstimationContext,
    Estimator,
    OnEpoch,
    Trainer,
    Training,
    WeightStore,
)
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.native import NativeBenchmark
from orchestrator.contracts.objective import (
    Axis,
    Budget,
    Direction,
    ImageChange,
    MetricObjective,
    Objective,
    Subject,
    Tier,
)
from orchestrator.contracts.observer import Study
from orchestrator.contracts.offer import Offer
from orchestrator.contracts.orders import legal_orders
from orchestrator.contracts.outputs import Classes, Maps, Outputs
from orchestrator.contracts.pixel_reading import image_suffixes
from orchestrator.contracts.pixels import CutOut, PixelRecipe
from orchestrator.contracts.place import HERE, Here, Place
from orchestrator.contracts.placement import Placement
from orchestrator.contracts.quantizer import Quantizer
from orchestrator.contracts.question import Question
from orchestrator.contracts.relatives import Relatives
from orchestrator.contracts.runtime import Runtime, Session
from orchestrator.contracts.sampler import (
    Earlier,
    Ground,
    History,
    Measured,
    Proposal,
    Sampler,
    SamplerContext,
)
from orchestrator.contracts.space import Part, Published, SearchSpace, Trial, segments
from orchestrator.contracts.task import Batch, Judge, Metric, Task

__all__ = [
    "HERE",
    "ArraySamples",
    "Artifact",
    "ArtifactCompressor",
    "Axis",
    "Batch",
    "Budget",
    "Change",
    "Checkpoint",
    "Classes",
    "CompressionContext",
    "Compressor",
    "CutOut",
    "Dataset",
    "Device",
    "Direction",
    "Earlier",
    "Estimate",
    "EstimationContext",
    "Estimator",
    "Gauge",
    "Ground",
    "Here",
    "History",
    "ImageChange",
    "ImageFacts",
    "Images",
    "Judge",
    "Kernel",
    "Latency",
    "Loss",
    "Maps",
    "Measured",
    "Metric",
    "MetricObjective",
    "NativeBenchmark",
    "NetworkCompressor",
    "Objective",
    "Offer",
    "OnEpoch",
    "Outputs",
    "Part",
    "PixelRecipe",
    "Place",
    "Placement",
    "Proposal",
    "Published",
    "Quantizer",
    "Question",
    "Relatives",
    "Retrain",
    "Runtime",
    "Sampler",
    "SamplerContext",
    "Samples",
    "SearchSpace",
    "Session",
    "Split",
    "Start",
    "Study",
    "Subject",
    "Task",
    "Tier",
    "Trainer",
    "Training",
    "TrainingCompressor",
    "Trial",
    "Usage",
    "WeightStore",
    "image_suffixes",
    "labels_loss",
    "legal_orders",
    "samples_of",
    "segments",
]
