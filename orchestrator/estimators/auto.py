"""The cheapest way to know accuracy that ranks well enough here, found by trying."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import Classes, Estimate, EstimationContext, Estimator
from orchestrator.errors import CandidateError, ConfigError, TrainingError
from orchestrator.estimators.anchors import Anchor, draw_anchors
from orchestrator.estimators.further import load_weights
from orchestrator.estimators.networks import started_network
from orchestrator.estimators.probe import ProbeEstimator
from orchestrator.estimators.proxy import ProxyEstimator
from orchestrator.estimators.supernet import SupernetEstimator
from orchestrator.estimators.train import TrainEstimator
from orchestrator.estimators.trial_run import TRAIN, TrialRun, Tried, read_trial_run
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["AutoEstimator"]


class AutoEstimator(Estimator):
    """Estimates a few candidates in every cheap way and by training, and takes what ranks well.

    `candidates` architectures, spread over their size, are trained before the search and estimated
    by a proxy, by a probe where the search starts from trained weights, and with `supernet` by
    shared weights. The cheapest whose Kendall's tau with training is at least `least` is used from
    then on; where there is none, every candidate is trained. Candidates differ in size, which ranks
    them in part by itself: the search's own checks tell how well the choice does near the front.
    With `images` an epoch of what is trained has so many at most, as with `estimator=train`.
    """

    name = "auto"
    approximate = True
    predicts = True

    def __init__(
        self,
        *,
        candidates: int = 6,
        least: float = 0.6,
        proxy: str = "zen",
        supernet: bool = False,
        images: int | None = None,
    ) -> None:
        if candidates < 3:
            raise ConfigError(f"estimator.candidates: found {candidates}, expected at least 3.")
        if not -1 <= least <= 1:
            raise ConfigError(f"estimator.least: found {least}, expected a tau in [-1, 1].")
        self.candidates = candidates
        self.least = least
        self.proxy = ProxyEstimator(proxy=proxy, anchors=candidates)
        self.objectives = self.proxy.objectives
        self._ways: dict[str, Estimator] = {"proxy": self.proxy, "probe": ProbeEstimator()}
        if supernet:
            self._ways["supernet"] = SupernetEstimator()
        self._train = TrainEstimator(images=images)
        self.most_images = images

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """Try all ways, each figure kept once it is known, and choose.

        Raises TrainingError where no candidate could be trained.
        """
        run = read_trial_run(_file(context))
        if not run.tried:
            run.tried = self._drawn(context)
            run.write()
        told = self._try_all(run, context)
        if run.chosen is None:
            either = context.objectives[self.proxy.proxy].direction == "minimize"
            run.either = ("proxy",) if either else ()
            run.choose(self.least)
            if run.chosen == "proxy":
                self.proxy.adopt(_anchors(run), context)
            run.write()
        return [*told, run.sentence(self.least)]

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """In the way that was chosen; what was trained to choose it is not trained again."""
        chosen = self._chosen(context)
        if chosen is self._train and context.loss is None:
            known = read_trial_run(_file(context)).of(genotype.plain())
            weights = self._train.initial_weights(genotype, context)
            if known is not None and known.curve and weights is not None:
                load_weights(network, weights, genotype)
                return _recalled(network, known.curve, context)
        return chosen.estimate(network, genotype, context)

    def approximates(self, context: EstimationContext) -> bool:
        """Not where every candidate is trained."""
        return self._chosen(context).approximates(context)

    def foretells(self, context: EstimationContext) -> bool:
        """Only where the proxy was chosen."""
        return self._chosen(context).foretells(context)

    def sees(self, context: EstimationContext) -> int | None:
        """As many as the chosen way."""
        return self._chosen(context).sees(context)

    def training_epochs(self, train: TrainConfig) -> tuple[float, float]:
        """At most: as if every candidate were trained after all."""
        return float(self.candidates * train.epochs), float(train.epochs)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What training left, else those of the chosen way."""
        kept = self._train.initial_weights(genotype, context)
        return (
            kept if kept is not None else self._chosen(context).initial_weights(genotype, context)
        )

    def _drawn(self, context: EstimationContext) -> list[Tried]:
        def size(genotype: Genotype) -> float:
            return float(sum(p.numel() for p in started_network(genotype, context).parameters()))

        return [Tried(each.genotype) for each in draw_anchors(context, size, self.candidates)]

    def _try_all(self, run: TrialRun, context: EstimationContext) -> list[str]:
        """Every figure that is not known yet; returns what ways told of their preparation."""
        ways = self._possible(context)
        told, total = list[str](), len(run.tried) * (len(ways) + 1)
        for name, way in ways.items():
            if name == "supernet" and run.chosen is None:
                start = time.process_time()
                told += way.prepare(replace(context, on_progress=None))
                run.ahead.setdefault(name, time.process_time() - start)
        names = [*ways, TRAIN]
        for done, (tried, name) in enumerate((t, n) for t in run.tried for n in names):
            if run.chosen is None and not tried.knows(name):
                self._try(tried, name, context)
                run.write()
            if context.on_progress is not None:
                context.on_progress(done + 1, total)
        return told

    def _possible(self, context: EstimationContext) -> dict[str, Estimator]:
        probed = context.start is not None and isinstance(
            context.task.outputs(context.facts), Classes
        )
        return {name: way for name, way in self._ways.items() if probed or name != "probe"}

    def _try(self, tried: Tried, name: str, context: EstimationContext) -> None:
        """One candidate in one way; where that fails, its figure is unknown."""
        network = started_network(tried.genotype, context)
        own = replace(context, on_epoch=None, on_progress=None)
        start = time.process_time()
        try:
            if name == "proxy":
                figures: tuple[float, ...] = (self.proxy.score(network, tried.genotype, own),)
            else:
                way = self._train if name == TRAIN else self._ways[name]
                figures = way.estimate(network, tried.genotype, own).curve
        except (CandidateError, TrainingError) as error:
            tried.failed[name] = str(error)
            return
        tried.figures[name] = figures[-1]
        tried.seconds[name] = time.process_time() - start
        if name == TRAIN:
            tried.curve = figures

    def _chosen(self, context: EstimationContext) -> Estimator:
        """Raises RunError where nothing was chosen yet."""
        name = read_trial_run(_file(context)).settled
        return self._train if name == TRAIN else self._ways[name]


def _file(context: EstimationContext) -> Path:
    return context.weights / "auto.json"


def _anchors(run: TrialRun) -> list[Anchor]:
    """What the proxy learns from, which needs no further training."""
    return [
        Anchor(tried.genotype, tried.figures["proxy"], tried.figures[TRAIN])
        for tried in run.tried
        if "proxy" in tried.figures and TRAIN in tried.figures
    ]


def _recalled(network: nn.Module, curve: Sequence[float], context: EstimationContext) -> Estimate:
    """A training that was paid for already, told epoch by epoch as it was."""
    for epoch, reached in enumerate(curve, start=1):
        proceed = context.on_epoch is None or context.on_epoch(epoch, reached)
        if not proceed and epoch < len(curve):
            return Estimate(network.eval(), tuple(curve[:epoch]), stopped=True)
    return Estimate(network.eval(), tuple(curve))
