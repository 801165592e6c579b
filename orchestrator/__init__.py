"""Neural architecture search and compression with plugins: the public face.

What a plugin needs is here; nothing heavy is imported by importing it. Behind it are rooms, of
which each may import those below it:

    cli/         commands, terminal, Hydra's flags, a new plugin
    study/       the story of a search, its phases, the run's folder, picks
    report/      the HTML report
    tracking/    MLflow
    plan/        what a search will cost and whether its budgets can be met
    search/      proposer, journal and samplers; the loop, the cluster and its workers
    candidate/   one candidate on its way: assembly, compression, evaluation, finalists
    pretrained/  trained weights to start from: listed, fetched, translated, shared out
    bundle/      a finalist's folder: written, verified, rebuilt; its card
    estimators/  how accuracy is known during the search
    supernet/    weights shared by all networks of a space
    training/    epochs, batches and feed, augmentation, optimisation, networks and their weights
    data/        the images of a search: counted, pinned down, shown
    analysis/    fronts, hypervolume and picks; rank agreement; figures in words
    contracts/   what a plugin fulfils and what it is given, one noun a file
    measuring/   timing in turn by an agent, and the gate that keeps a machine quiet meanwhile
    faults/      what holds a fault where it happened: printable text, locks, temporary folders
    testing/     contract suites and fixtures for plugin authors

Beside them: `hookspecs` and `plugins` (who offers what), `records` (what is searched and what
became of it), `credit`, `config`, `trials`, `files`, `paths`, `errors`.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator import errors
from orchestrator.analysis.strength import strongest
from orchestrator.contracts import (
    ArraySamples,
    Artifact,
    ArtifactCompressor,
    Axis,
    Batch,
    Budget,
    Change,
    Checkpoint,
    Classes,
    CompressionContext,
    Compressor,
    CutOut,
    Dataset,
    Device,
    Direction,
    Earlier,
    Estimate,
    EstimationContext,
    Estimator,
    Gauge,
    Ground,
    Here,
    History,
    ImageChange,
    ImageFacts,
    Images,
    Judge,
    Kernel,
    Latency,
    Loss,
    Maps,
    Measured,
    Metric,
    MetricObjective,
    NativeBenchmark,
    NetworkCompressor,
    Objective,
    Offer,
    OnEpoch,
    Outputs,
    Part,
    PixelRecipe,
    Place,
    Placement,
    Proposal,
    Published,
    Quantizer,
    Question,
    Relatives,
    Retrain,
    Runtime,
    Sampler,
    SamplerContext,
    Samples,
    SearchSpace,
    Session,
    Split,
    Start,
    Study,
    Subject,
    Task,
    Tier,
    Trainer,
    Training,
    TrainingCompressor,
    Trial,
    Usage,
    WeightStore,
    image_suffixes,
    labels_loss,
    segments,
)
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.files import write_whole
from orchestrator.hookspecs import API, hookimpl
from orchestrator.measuring.agent import Timing, interleave, usable_cores
from orchestrator.measuring.gate import Gate
from orchestrator.paths import cache_dir
from orchestrator.plugins import version_of
from orchestrator.records import (
    Architecture,
    Check,
    Choices,
    Credit,
    Finalist,
    Genotype,
    Outcome,
    Record,
    ShippedFile,
    Step,
)

if TYPE_CHECKING:
    from orchestrator.analysis.pictures import image_uri, picture_uri
    from orchestrator.candidate.networks import network, networks
    from orchestrator.config import TrainConfig
    from orchestrator.measuring.reference import (
        REFERENCE_IMAGE,
        ReferenceWeights,
        reference_network,
        reference_weights,
    )
    from orchestrator.training.attention_heads import attention_heads
    from orchestrator.training.augmentation import (
        blend,
        boxes,
        crop,
        cut,
        cutmix,
        erase,
        jitter,
        mirror,
        mix,
        soft_targets,
    )
    from orchestrator.training.channel_graph import (
        channel_graph,
        is_depthwise,
        mixes_channels,
        tied_layers,
    )
    from orchestrator.training.exporting import exported, failure_of, quiet_export
    from orchestrator.training.left_out import LeftOut, leave_out
    from orchestrator.training.modes import evaluated, refuse_meta
    from orchestrator.training.outlines import is_outline, outlined
    from orchestrator.training.policies import vary
    from orchestrator.training.stand_ins import blockwise, elements
    from orchestrator.training.statistics import settle_statistics
    from orchestrator.training.teaching import Ensemble, SoftLabelLoss, Teacher

# What needs torch or pydantic, or looks at every plugin, is imported when it is asked for.
_LATER = {
    **dict.fromkeys(("image_uri", "picture_uri"), "orchestrator.analysis.pictures"),
    "TrainConfig": "orchestrator.config",
    **dict.fromkeys(("network", "networks"), "orchestrator.candidate.networks"),
    **dict.fromkeys(
        ("channel_graph", "is_depthwise", "mixes_channels", "tied_layers"),
        "orchestrator.training.channel_graph",
    ),
    "attention_heads": "orchestrator.training.attention_heads",
    **dict.fromkeys(("exported", "failure_of", "quiet_export"), "orchestrator.training.exporting"),
    **dict.fromkeys(("LeftOut", "leave_out"), "orchestrator.training.left_out"),
    **dict.fromkeys(("evaluated", "refuse_meta"), "orchestrator.training.modes"),
    **dict.fromkeys(
        ("REFERENCE_IMAGE", "ReferenceWeights", "reference_network", "reference_weights"),
        "orchestrator.measuring.reference",
    ),
    "settle_statistics": "orchestrator.training.statistics",
    **dict.fromkeys(("blockwise", "elements"), "orchestrator.training.stand_ins"),
    **dict.fromkeys(("is_outline", "outlined"), "orchestrator.training.outlines"),
    **dict.fromkeys(("Ensemble", "SoftLabelLoss", "Teacher"), "orchestrator.training.teaching"),
    "vary": "orchestrator.training.policies",
    **dict.fromkeys(
        ("blend", "boxes", "crop", "cut", "cutmix", "erase", "jitter", "mirror", "mix"),
        "orchestrator.training.augmentation",
    ),
    "soft_targets": "orchestrator.training.augmentation",
}

__version__ = version_of("pareto-orchestrator")

# By noun, in the order in which a search meets them.
__all__ = [  # noqa: RUF022
    # Plugging in: hooks, and what they offer
    "API",
    "Offer",
    "hookimpl",
    "errors",
    "__version__",
    # A point of the search, and what became of it
    "Architecture",
    "Choices",
    "Genotype",
    "Step",
    "Record",
    "Outcome",
    "Check",
    "Finalist",
    "ShippedFile",
    "Credit",
    # Search spaces
    "SearchSpace",
    "Trial",
    "Published",
    "Checkpoint",
    "Start",
    "Part",
    "segments",
    "network",
    "networks",
    "outlined",
    # Datasets and their images
    "Dataset",
    "Split",
    "Samples",
    "ArraySamples",
    "Images",
    "ImageFacts",
    "PixelRecipe",
    "CutOut",
    "image_suffixes",
    # Tasks: what networks answer, how they are trained and judged
    "Task",
    "Metric",
    "Judge",
    "Batch",
    "Outputs",
    "Classes",
    "Maps",
    "labels_loss",
    "crop",
    "boxes",
    "cut",
    "mirror",
    "jitter",
    "vary",
    "erase",
    "mix",
    "cutmix",
    "blend",
    "soft_targets",
    "image_uri",
    "picture_uri",
    # Objectives, and the trade-off between them
    "Objective",
    "MetricObjective",
    "Subject",
    "Tier",
    "Direction",
    "ImageChange",
    "is_outline",
    "blockwise",
    "elements",
    "Axis",
    "Budget",
    # Compressors
    "Compressor",
    "TrainingCompressor",
    "NetworkCompressor",
    "ArtifactCompressor",
    "Quantizer",
    "CompressionContext",
    "channel_graph",
    "tied_layers",
    "mixes_channels",
    "is_depthwise",
    "attention_heads",
    "leave_out",
    "LeftOut",
    "settle_statistics",
    "evaluated",
    "strongest",
    "Retrain",
    "Change",
    "Loss",
    "Teacher",
    "Ensemble",
    "SoftLabelLoss",
    # Devices: a runtime at a place
    "Device",
    "Runtime",
    "Session",
    "Place",
    "Here",
    "NativeBenchmark",
    "Artifact",
    "Latency",
    "Gauge",
    "Kernel",
    "Usage",
    "Timing",
    "interleave",
    "REFERENCE_IMAGE",
    "ReferenceWeights",
    "reference_weights",
    "reference_network",
    "refuse_meta",
    "exported",
    "quiet_export",
    "failure_of",
    "write_whole",
    "WorkingFolder",
    "cache_dir",
    "usable_cores",
    # Estimators
    "Estimator",
    "EstimationContext",
    "Estimate",
    "OnEpoch",
    "Trainer",
    "Training",
    "TrainConfig",
    "WeightStore",
    "Placement",
    "Gate",
    # Samplers
    "Sampler",
    "SamplerContext",
    "Relatives",
    "Ground",
    "History",
    "Earlier",
    "Measured",
    "Proposal",
    "Question",
    # Observers
    "Study",
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
