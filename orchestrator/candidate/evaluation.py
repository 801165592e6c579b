"""One candidate through the tiers: static → deployed preview → trained → compressed → exported.

What is cheap comes first. The untrained network already has its final shape, so its size, its
multiply-adds and even its latency are known before a second of training is paid, and a broken
budget ends the candidate there.
"""

from __future__ import annotations

import math
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.display import human
from orchestrator.candidate.assembly import Target, excess
from orchestrator.candidate.deployment import Deployment, Measure
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.contracts import Artifact, EstimationContext, Subject
from orchestrator.errors import (
    CandidateError,
    DeviceError,
    OrchestratorError,
    RunError,
    disk_trouble,
)
from orchestrator.records import Genotype, Outcome, Record
from orchestrator.training.epochs import hopeless

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Measure", "Rival", "evaluate", "failure"]


@dataclass(frozen=True)
class Rival:
    """A finished candidate: what it reached in every searched objective, and its curve."""

    values: Mapping[str, float]
    curve: tuple[float, ...]


@dataclass
class _Progress:
    """What is known of a candidate so far."""

    number: int
    genotype: Genotype
    step: str = "build"
    values: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    curve: list[float] = field(default_factory=list)


def evaluate(
    proposal: tuple[int, Genotype],
    rivals: Sequence[Rival],
    factory: Factory,
    measure: Measure,
) -> Record:
    """Take one candidate to its outcome.

    Raises DeviceError and RunError (a full disk, say): those are not the candidate's fault and
    end the search, which can be resumed.
    """
    start = time.monotonic()
    progress = _Progress(*proposal)
    try:
        record = _Evaluation(progress, rivals, factory, measure).run()
    except (DeviceError, RunError):
        raise
    except Exception as error:
        if trouble := disk_trouble(error):
            raise RunError(f"{trouble}: free some disk space, then resume the search.") from error
        record = failure(progress.number, progress.genotype, error, step=progress.step)
        record = replace(
            record, values=progress.values, curve=tuple(progress.curve), extra=progress.extra
        )
    return replace(record, seconds=time.monotonic() - start, finished_at=time.time())


def failure(number: int, genotype: Genotype, error: BaseException, *, step: str) -> Record:
    """The record of a candidate that broke, its error kept in full."""
    known = isinstance(error, OrchestratorError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    return Record(
        number=number,
        genotype=genotype,
        outcome="failed",
        reason=reason.strip().splitlines()[0] if reason.strip() else repr(error),
        step=step,
        error="".join(traceback.format_exception(error)),
        finished_at=time.time(),
    )


class _Evaluation:
    """The way of one candidate; `run` reads from top to bottom."""

    def __init__(
        self,
        progress: _Progress,
        rivals: Sequence[Rival],
        factory: Factory,
        measure: Measure,
    ) -> None:
        self.now = progress
        self.rivals = rivals
        self.factory = factory
        self.assembly = factory.assembly
        self.deployment = Deployment(factory.assembly, measure)
        self.previewed = Treatment(progress.genotype)

    def run(self) -> Record:
        preview = self.factory.compress(self.factory.build(self.now.genotype), self.previewed)
        self._take(self.assembly.tier("static"), self._subject(preview))
        if broken := self._broken():
            return self._rejected(broken)
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            if self.assembly.tier("deployed"):
                self._take_preview(preview, Path(folder))
                if broken := self._broken():
                    return self._rejected(broken)
            return self._trained(preview, Path(folder))

    def _take_preview(self, preview: nn.Module, folder: Path) -> None:
        """Deployed objectives of the untrained network in its final shape."""
        self.now.step = "export of the untrained network"
        self._compile(preview, self.previewed, folder / "preview")
        self._take(self.assembly.tier("deployed"), self._subject(preview))

    def _trained(self, preview: nn.Module, folder: Path) -> Record:
        self.now.step = "training"
        self.now.extra["trained"] = True
        estimator = self.assembly.estimator
        context = self._estimation()
        network = self._untrained(preview, context)
        estimate = estimator.estimate(network, self.now.genotype, context)
        self.now.curve = list(estimate.curve)
        if estimate.stopped:
            done = len(self.now.curve)
            reason = f"after {done} epochs clearly behind candidates that cost no more"
            return self._record("stopped", reason=reason, step="training")
        if estimator.predicts:
            self.now.extra["predicted"] = estimate.predicted is not None
        if estimate.predicted is not None:
            metrics = {self.assembly.task.leading.name: estimate.predicted}
            self._take(self.assembly.tier("estimated"), self._subject(preview, metrics))
            return self._judged()
        self.now.step = "compression"
        treatment = Treatment(self.now.genotype, self.factory.config.train.epochs)
        network = self.factory.compress(estimate.network, treatment)
        if treatment.report:
            self.now.extra["compression"] = treatment.report
        self.now.step = "export"
        artifact = self._compile(network, treatment, folder / "model")
        self._take_final(network, artifact)
        return self._judged()

    def _untrained(self, preview: nn.Module, context: EstimationContext) -> nn.Module:
        """What the estimator is given: in the final shape if it only looks."""
        if not self.assembly.estimator.foretells(context):
            return self.factory.started(self.now.genotype)
        if self.factory.start is None:
            return preview
        started = self.factory.started(self.now.genotype)
        return self.factory.compress(started, self.previewed)

    def _judged(self) -> Record:
        broken = self._broken()
        return self._rejected(broken) if broken else self._record("feasible")

    def _take_final(self, network: nn.Module, artifact: Artifact) -> None:
        """Everything again from the trained network; the latency anew only if it was forgotten."""
        metrics = self.factory.score(artifact, "validation", gate=self.factory.gate).figures()
        judge = self.factory.changed_images(artifact, "validation")
        subject = replace(self._subject(network, metrics), judge=judge)
        self._take(self.assembly.tier("static"), subject)
        self._take(self.assembly.tier("estimated", "deployed"), subject)

    def _compile(self, network: nn.Module, treatment: Treatment, path: Path) -> Artifact:
        """The file of the first device; those of all are deployed."""
        files = self.factory.compile_all(network, treatment, path, final=False)
        self.deployment.take({name: artifacts[-1] for name, artifacts in files.items()})
        return next(iter(files.values()))[-1]

    def _subject(self, network: nn.Module, metrics: Mapping[str, float] | None = None) -> Subject:
        shape = self.assembly.facts.shape
        return Subject(self.now.genotype, network, shape, metrics=metrics or {})

    def _take(self, targets: Sequence[Target], subject: Subject) -> None:
        for target in targets:
            self.now.step = f"objective {target.name}"
            # A device's measurement takes the gate for itself; the rest is work like training.
            # So does what a file is asked, for a batch at a time.
            deployed = target.objective.tier == "deployed"
            alone = deployed or target.objective.needs_answers
            with nullcontext() if alone else self.factory.gate.shared():
                seen = self.deployment.seen(subject, target.device) if deployed else subject
                value = self.factory.measure(target.objective, seen)
            if not math.isfinite(value):
                raise CandidateError(f"objective {target.name} is {value}, expected a finite one.")
            self.now.values[target.name] = value

    def _estimation(self) -> EstimationContext:
        train = self.factory.config.train
        rivals = self._cheaper_rivals()

        def on_epoch(epoch: int, reached: float) -> bool:
            self.now.curve.append(reached)
            return not hopeless(epoch, reached, train.epochs, rivals, train.early_stop)

        return replace(self.factory.estimation(self.now.genotype), on_epoch=on_epoch)

    def _cheaper_rivals(self) -> list[tuple[float, ...]]:
        """Curves of those that are no worse in every searched objective known already."""
        known = [t for t in self.assembly.targets if t.searched and t.name in self.now.values]
        return [
            rival.curve
            for rival in self.rivals
            if all(_no_worse(target, rival.values, self.now.values) for target in known)
        ]

    def _broken(self) -> dict[str, float]:
        return excess(self.now.values, self.assembly.targets)

    def _rejected(self, broken: dict[str, float]) -> Record:
        reasons = [_sentence(t, self.now.values) for t in self.assembly.targets if t.name in broken]
        return self._record("rejected", violations=broken, reason="; ".join(reasons))

    def _record(self, outcome: Outcome, **more: Any) -> Record:
        now = self.now
        return Record(
            number=now.number,
            genotype=now.genotype,
            outcome=outcome,
            values=dict(now.values),
            curve=tuple(now.curve),
            extra=dict(now.extra),
            latencies=dict(self.deployment.latencies),
            **more,
        )


def _no_worse(target: Target, rival: Mapping[str, float], mine: Mapping[str, float]) -> bool:
    if target.name not in rival:
        return False
    difference = rival[target.name] - mine[target.name]
    return difference <= 0 if target.objective.direction == "minimize" else difference >= 0


def _sentence(target: Target, values: Mapping[str, float]) -> str:
    value, unit = values[target.name], target.objective.unit
    low, high = target.config.min, target.config.max
    if high is not None and value > high:
        return f"{target.name} {human(value, unit)} is over the budget of {human(high, unit)}"
    assert low is not None
    return f"{target.name} {human(value, unit)} is under the least of {human(low, unit)}"
