"""Weight sharing: one training for all candidates, then each costs an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from orchestrator.contracts import Estimate, EstimationContext, Estimator, SearchSpace
from orchestrator.errors import ConfigError, SharingError, closest, plural
from orchestrator.estimators.train import TrainEstimator
from orchestrator.records import Genotype
from orchestrator.supernet.admission import Verdict, judge
from orchestrator.supernet.borrowing import Borrower, borrow, release
from orchestrator.supernet.judging import inherited_figure
from orchestrator.supernet.path_training import Method, PathTraining, Recipe, Setting
from orchestrator.supernet.pool import draw_subnets
from orchestrator.supernet.store import Store
from orchestrator.training.building import build_network
from orchestrator.training.estimation import footing_of
from orchestrator.training.placement import placed

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.config import TrainConfig

__all__ = ["SupernetEstimator"]

_METHODS = ("single_path", "sandwich", "progressive")
_OPTIMIZERS = ("auto", "sgd", "adamw")
_SGD_RATE = 0.2
# From noise, and from trained weights: a tenth of the epochs, steps that break less.
_EPOCHS = 30
_STARTED_EPOCHS = 4
_STARTED_RATE = 2e-3
# The check trains three networks for a tenth of the epochs each.
_CHECK_COST = 1.2


class SupernetEstimator(Estimator):
    """Trains shared weights before the search; a candidate inherits its part of them.

    Accuracies rank candidates and are lower than after a training of their own; finalists start
    from what they inherit. Where the space's names turn out to mix roles, candidates are trained
    instead and the reason is told.

    `epochs` passes over the training images, one of `paths` random architectures a step; "auto" is
    30 from noise and 4 where the search starts from trained weights, which the shared ones then
    begin with. `images` is how many set batch norm's statistics before a network is judged.
    `workers` above 1 train data-parallel on a Ray cluster.
    """

    name = "supernet"
    approximate = True

    def __init__(
        self,
        *,
        method: Literal["single_path", "sandwich", "progressive"] = "single_path",
        epochs: int | Literal["auto"] = "auto",
        batch_size: int = 64,
        optimizer: Literal["auto", "sgd", "adamw"] = "auto",
        learning_rate: float | None = None,
        paths: int = 256,
        images: int = 1024,
        workers: int = 1,
    ) -> None:
        _check("method", method, _METHODS)
        _check("optimizer", optimizer, _OPTIMIZERS)
        if isinstance(epochs, str):
            _check("epochs", epochs, ("auto",))
        least = 1 if isinstance(epochs, str) else epochs
        counts = {"epochs": least, "batch_size": batch_size, "paths": paths, "images": images}
        for name, count in {**counts, "workers": workers}.items():
            if count < 1:
                raise ConfigError(f"estimator.{name}: found {count}, expected at least 1.")
        if batch_size < 2 * workers:
            raise ConfigError(
                f"estimator.batch_size: found {batch_size}, expected at least two images for each "
                f"of {plural(workers, 'worker')}."
            )
        if learning_rate is not None and learning_rate <= 0:
            raise ConfigError(f"estimator.learning_rate: found {learning_rate}, expected above 0.")
        self.method: Method = method
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.paths = paths
        self.images = images
        self.workers = workers
        self._trained = TrainEstimator()

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """Train the store and check it; raises TrainingError, or RunError for a full disk.

        Saved after every epoch; an interrupted training goes on from there and ends as if it
        had not been interrupted.
        """
        done = _finished(context)
        if not done.exists():
            try:
                facts = self._train(context)
            except SharingError as error:
                Store(context.space).save(done, _refused(error), memory=False)
                return [_refused(error)["sentence"]]
            return [facts["sentence"]]
        return [_load(context.space, done)[1]["sentence"]]

    def approximates(self, context: EstimationContext) -> bool:
        """Not where the store was refused: candidates are then trained."""
        return bool(_load(context.space, _finished(context))[1]["admitted"])

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Inherit and judge; the weights are the network's own afterwards."""
        store, facts = _load(context.space, _finished(context))
        if not facts["admitted"]:
            return self._trained.estimate(network, genotype, context)
        if store.covers(network) and context.placement.device == "cpu":
            borrow(network, store)
        else:
            store.inherit(network)
        with torch.random.fork_rng(devices=[]), placed(network, context.placement):
            torch.manual_seed(context.seed)
            figure = inherited_figure(network, footing_of(context), images=self.images)
        release(network)
        if context.on_epoch is not None:
            context.on_epoch(1, figure)
        return Estimate(network.eval(), (figure,))

    def training_epochs(self, train: TrainConfig) -> tuple[float, float]:
        """A candidate's evaluation costs about half an epoch; more if weights are not shared.

        The shared training is taken to start from noise, as nothing else is known here.
        """
        steps = 4 if self.method == "sandwich" else 1
        epochs = _EPOCHS if isinstance(self.epochs, str) else self.epochs
        return _CHECK_COST * steps * epochs / self.workers, 0.5

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What training further left for this architecture, else what it inherits."""
        kept = self._trained.initial_weights(genotype, context)
        if kept is not None:
            return kept
        store, facts = _load(context.space, _finished(context))
        if not facts["admitted"]:
            return None
        network = build_network(
            context.space, genotype, context.facts, seed=context.seed, task=context.task
        )
        if context.start is not None:
            context.start.give(network)  # batch norm's statistics, which are not shared
        store.inherit(network)
        return network.state_dict()

    def _train(self, context: EstimationContext) -> dict[str, Any]:
        partial = _finished(context).with_suffix(".partial")
        device, footing = context.placement.device, footing_of(context)
        store, begun = Store(context.space, device), {"epochs": 0}
        if partial.exists():
            store, begun = Store.load(context.space, partial, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            borrower = Borrower(store, context.task, context.facts, context.start)
            paths = draw_subnets(borrower, count=self.paths, seed=context.seed)
            recipe = self._recipe(store, context)
            setting = Setting(recipe, context.train)
            training = PathTraining(borrower, paths, footing, setting)
            for epoch in range(begun["epochs"], recipe.epochs):
                training.epoch(epoch, lambda done: _report(context, done, training.steps))
                if _leads():
                    store.save(partial, {"epochs": epoch + 1}, memory=True)
            verdict = judge(borrower, paths, footing, setting, self.images)
        facts = _facts(verdict, len(paths), store)
        if _leads():
            store.save(_finished(context), facts, memory=False)
            partial.unlink(missing_ok=True)
        return facts

    def _recipe(self, store: Store, context: EstimationContext) -> Recipe:
        """SGD where batch norm keeps networks steady; AdamW where they have none of it.

        A transformer with layer norm alone learns next to nothing with SGD in a search's time.
        Trained weights are gone on with by AdamW.
        """
        started = context.start is not None
        optimizer = self.optimizer
        if optimizer == "auto":
            optimizer = "sgd" if store.normed and not started else "adamw"
        rate = _STARTED_RATE if started else context.train.learning_rate
        default = _SGD_RATE if optimizer == "sgd" else rate
        epochs = _STARTED_EPOCHS if started else _EPOCHS
        return Recipe(
            method=self.method,
            epochs=epochs if isinstance(self.epochs, str) else self.epochs,
            batch_size=self.batch_size,
            optimizer=optimizer,
            learning_rate=self.learning_rate or default,
            seed=context.seed,
        )


def _check(key: str, found: str, valid: Sequence[str]) -> None:
    if found not in valid:
        raise ConfigError(f"estimator.{key}: unknown {found!r}; {closest(found, valid)}")


def _finished(context: EstimationContext) -> Path:
    return context.weights / "supernet.safetensors"


def _report(context: EstimationContext, done: int, steps: int) -> None:
    """Steps of the training; the check that follows takes a share of their time."""
    if context.on_progress is not None and _leads():
        context.on_progress(done, round(_CHECK_COST * steps))


def _facts(verdict: Verdict, paths: int, store: Store) -> dict[str, Any]:
    return {
        "admitted": verdict.admitted,
        "sentence": verdict.sentence,
        "inherited_accuracy": verdict.inherited,
        "control_accuracy": verdict.control,
        "paths": paths,
        "parameters": sum(tensor.numel() for tensor in store.tensors.values()),
    }


def _refused(error: SharingError) -> dict[str, Any]:
    return {
        "admitted": False,
        "sentence": f"weights are not shared, every candidate is trained: {error}",
    }


def _leads() -> bool:
    """Whether this process writes: the only one, or the first of its group."""
    group = torch.distributed
    return not (group.is_available() and group.is_initialized()) or group.get_rank() == 0


@lru_cache(maxsize=2)
def _mapped(space: SearchSpace, path: Path, changed_ns: int) -> tuple[Store, dict[str, Any]]:
    return Store.load(space, path)


def _load(space: SearchSpace, path: Path) -> tuple[Store, dict[str, Any]]:
    """The store of a run, mapped once a process; raises RunError where there is none."""
    if not path.exists():
        Store.load(space, path)  # raises
    return _mapped(space, path, path.stat().st_mtime_ns)
