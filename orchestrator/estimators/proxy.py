"""A zero-cost proxy: the leading metric predicted from a score of the untrained network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.ranking import kendall
from orchestrator.contracts import (
    Dataset,
    Estimate,
    EstimationContext,
    Estimator,
    Objective,
    Subject,
)
from orchestrator.errors import CandidateError, ConfigError, RunError, TrainingError, plural
from orchestrator.estimators.anchors import Anchor, draw_anchors, read_anchors, write_anchors
from orchestrator.estimators.monotone import MonotoneCurve
from orchestrator.estimators.networks import started_network
from orchestrator.estimators.train import TrainEstimator
from orchestrator.measuring.gate import held
from orchestrator.records import Genotype
from orchestrator.training.calibration import Calibration

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["ProxyEstimator"]

_IMAGES = 128


class ProxyEstimator(Estimator):
    """Predicts accuracy from a static objective, which ranks, and a few trained architectures.

    `proxy` is the name of any installed objective of tier static: naswot, synflow, zen, zico,
    params, macs, or another plugin's. `anchors` architectures, spread over its scores, are trained
    before the search; a monotone curve through them turns scores into accuracies. Accuracy rises
    with a proxy that is to be maximised; with one that is to be minimised it may rise too (macs)
    or fall, and the anchors decide. Cost: `anchors` trainings, then 0.02 to 0.3 CPU seconds a
    candidate.
    """

    name = "proxy"
    approximate = True
    predicts = True

    def __init__(self, *, proxy: str = "zen", anchors: int = 6) -> None:
        if anchors < 3:
            raise ConfigError(f"estimator.anchors: found {anchors}, expected at least 3.")
        self.proxy = proxy
        self.objectives = (proxy,)
        self.anchors = anchors
        self._trained = TrainEstimator()

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """Train the anchors, each kept once it is done; raises TrainingError if all of them fail.

        Which architectures they are is settled first, so that an interruption changes nothing.
        """
        path, proxy = _file(context), self.proxy
        anchors = read_anchors(path, proxy)
        if not anchors:

            def score(genotype: Genotype) -> float:
                return self.score(started_network(genotype, context), genotype, context)

            anchors = draw_anchors(context, score, self.anchors)
            write_anchors(path, proxy, anchors)
        for number, anchor in enumerate(anchors):
            if anchor.pending:
                progress = (number * context.train.epochs, len(anchors) * context.train.epochs)
                anchors[number] = self._train(anchor, context, progress)
                write_anchors(path, proxy, anchors)
        return [_sentence(context.objectives[self.proxy], _usable(anchors))]

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Score and predict; the network is not trained. Raises CandidateError without a score."""
        path = _file(context)
        if not path.exists():
            raise RunError(
                f"{path} is missing: the architectures that tell what a score is worth were not "
                "trained. Start the search anew, or resume it."
            )
        direction = context.objectives[self.proxy].direction
        curve = _curve(path, path.stat().st_mtime_ns, self.proxy, direction)
        predicted = curve(self.score(network, genotype, context))
        if context.on_epoch is not None:
            context.on_epoch(1, predicted)
        return Estimate(network.eval(), (predicted,), predicted=predicted)

    def adopt(self, anchors: Sequence[Anchor], context: EstimationContext) -> None:
        """Learn from architectures that were scored and trained already, in place of others."""
        write_anchors(_file(context), self.proxy, anchors)

    def training_epochs(self, train: TrainConfig) -> tuple[float, float]:
        """Those of the anchors; a candidate is only looked at."""
        return float(self.anchors * train.epochs), 0.0

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """Those of an architecture that was trained as an anchor, or to check the estimates."""
        return self._trained.initial_weights(genotype, context)

    def score(self, network: nn.Module, genotype: Genotype, context: EstimationContext) -> float:
        """What the proxy says of a network; raises CandidateError where that is no number."""
        objective = context.objectives[self.proxy]
        subject = Subject(
            genotype.plain(),
            network,
            context.facts.shape,
            batch=lambda: _calibration(context.dataset).images(objective.training_images),
        )
        with held(context.gate):
            score = float(objective.measure(subject))
        if not math.isfinite(score):
            raise CandidateError(f"{self.proxy} is {score}, expected a finite number.")
        return score

    def _train(
        self, anchor: Anchor, context: EstimationContext, progress: tuple[int, int]
    ) -> Anchor:
        """The anchor with its accuracy; `progress` is the epochs before it and those in all."""
        done, total = progress

        def on_epoch(epoch: int, accuracy: float) -> bool:
            if context.on_progress is not None:
                context.on_progress(done + epoch, total)
            return True

        own = replace(context, on_epoch=on_epoch)
        try:
            network = started_network(anchor.genotype, context)
            estimate = self._trained.estimate(network, anchor.genotype, own)
        except TrainingError as error:
            return replace(anchor, failed=str(error))
        return replace(anchor, accuracy=estimate.curve[-1])


def _file(context: EstimationContext) -> Path:
    return context.weights / "proxy.json"


def _usable(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Those that were trained; raises TrainingError if there are none."""
    usable = [anchor for anchor in anchors if anchor.accuracy is not None]
    if not usable:
        reasons = "; ".join(sorted({anchor.failed for anchor in anchors if anchor.failed}))
        raise TrainingError(f"none of {plural(len(anchors), 'anchor')} could be trained: {reasons}")
    return usable


def _tau(anchors: Sequence[Anchor]) -> float | None:
    return kendall([a.score for a in anchors], [a.accuracy or 0.0 for a in anchors])


def _rising(anchors: Sequence[Anchor], direction: str) -> bool:
    """Whether accuracy rises with the score."""
    return direction == "maximize" or (_tau(anchors) or 0.0) >= 0


@lru_cache(maxsize=4)
def _curve(path: Path, changed_ns: int, proxy: str, direction: str) -> MonotoneCurve:
    """Read once a process."""
    anchors = _usable(read_anchors(path, proxy))
    accuracies = [anchor.accuracy or 0.0 for anchor in anchors]
    scores = [anchor.score for anchor in anchors]
    return MonotoneCurve(scores, accuracies, rising=_rising(anchors, direction))


def _sentence(objective: Objective, anchors: Sequence[Anchor]) -> str:
    tau = _tau(anchors)
    accuracies = [anchor.accuracy or 0.0 for anchor in anchors]
    trained = (
        f"{plural(len(anchors), 'trained architecture')} ({100 * min(accuracies):.1f} to "
        f"{100 * max(accuracies):.1f} % accurate)"
    )
    if tau is None:
        return f"how {objective.name} ranks {trained} cannot be told."
    text = f"{objective.name} ranks {trained} with Kendall's tau {tau:.2f}"
    if not _rising(anchors, objective.direction):
        return f"{text}: accuracy is predicted to fall with it."
    if tau > 0:
        return f"{text}."
    return f"{text}, so it hardly ranks this space. Choose another estimator.proxy."


@lru_cache(maxsize=2)
def _calibration(dataset: Dataset) -> Calibration:
    return Calibration(dataset)
