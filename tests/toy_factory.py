"""What a search of the fakes is made of, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.candidate.factory import Factory
from orchestrator.config import check_config
from orchestrator.measuring.gate import Gate
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Step
from orchestrator.testing.toys import ToySpace
from orchestrator.trials import FixedTrial

TOY_CONFIG: dict[str, Any] = {
    "space": {"name": "toy"},
    "dataset": {"name": "toy_data"},
    "device": {"name": "toy_device"},
    "estimator": {"name": "toy_train"},
    "sampler": {"name": "random"},
    "objective": {
        "accuracy": {"name": "accuracy"},
        "params": {"name": "params"},
        "latency_ms": {"name": "latency_ms"},
    },
    "train": {"epochs": 2, "batch_size": 8},
}


def factory(folder: Path, **groups: Any) -> Factory:
    """The fakes of `toys`; what `objective` names is added to the usual ones."""
    objective = {**TOY_CONFIG["objective"], **groups.pop("objective", {})}
    config = check_config({**TOY_CONFIG, **groups, "objective": objective})
    return Factory(config, folder, Gate(folder / "gate"), installed())


def genotype(width: int = 4, compression: tuple[Step, ...] = ()) -> Genotype:
    choices = {"kind": "plain", "width": width}
    return Genotype("toy", "small", ToySpace().suggest(FixedTrial(choices)), compression)
