"""A job done by several workers of the cluster at once, in one group of torch.distributed."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.search.cluster import Job, Resources
from orchestrator.search.ends import cause

__all__ = ["run_together"]


def run_together(job: Job, workers: int, resources: Resources) -> None:
    """Run the job in `workers` processes that Ray Train connects; their answers are not kept.

    Whatever the job leaves on disk its first member leaves. Raises OrchestratorError for a member
    that failed. Cost: some seconds to start.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    with WorkingFolder("train") as folder:
        trainer = TorchTrainer(
            _member,
            train_loop_config={"function": job.function, "payload": dict(job.common)},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers, resources_per_worker={"CPU": resources.threads}
            ),
            run_config=RunConfig(storage_path=str(folder), name="together"),
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Ray Data's own, which nothing here uses
                trainer.fit()
        except Exception as error:
            raise OrchestratorError(str(cause(error))) from error


def _member(config: Mapping[str, Any]) -> None:
    module, _, name = config["function"].partition(":")
    getattr(importlib.import_module(module), name)(config["payload"])
