"""One candidate through the tiers: static → deployed preview → trained → compressed → exported.

What is cheap comes first. The untrained network already has its final shape, so its size, its
multiply-adds and even its latency are known before a second of training is paid, and a budget that
none of its variants keeps ends the candidate there. Once trained, it is compiled for each runtime
and its files are changed in every way there is; each of them is worth a record.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.display import human
from orchestrator.candidate.assembly import Target, excess
from orchestrator.candidate.compression import Variant
from orchestrator.candidate.deployment import Measure, Sitting
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.scoring import scored
from orchestrator.candidate.variants import FileMaker, VariantFiles
from orchestrator.contracts import EstimationContext, Subject
from orchestrator.errors import (
    CandidateError,
    DeviceError,
    OrchestratorError,
    RunError,
    disk_trouble,
    plural,
    words_of,
)
from orchestrator.faults.temporary import WorkingFolder, full, own_root
from orchestrator.records import Genotype, Outcome, Record
from orchestrator.training.epochs import hopeless

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Measure", "Rival", "evaluate", "failure", "foresee"]


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
    return _ended(_Evaluation(_Progress(*proposal), rivals, factory, measure), trains=True)


def foresee(genotype: Genotype, factory: Factory, measure: Measure) -> Record:
    """What is known of a network before it is trained, by its untrained files.

    It is rejected or failed like a candidate, or stopped there: a record without a number, which
    nothing was paid for. Raises DeviceError and RunError like `evaluate`.
    """
    progress = _Progress(-1, genotype, extra={"foreseen": True})
    return _ended(_Evaluation(progress, [], factory, measure), trains=False)


def _ended(evaluation: _Evaluation, *, trains: bool) -> Record:
    start, progress, factory = time.monotonic(), evaluation.now, evaluation.factory
    try:
        record = evaluation.run(trains=trains)
    except (DeviceError, RunError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin that ends its process is wrong like others
        record = _failed(progress, error, factory.folder)
    return replace(record, seconds=time.monotonic() - start, finished_at=time.time())


def failure(number: int, genotype: Genotype, error: BaseException, *, step: str) -> Record:
    """The record of a candidate that broke, its error kept in full."""
    said = words_of(error)
    reason = said if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {said}"
    return Record(
        number=number,
        genotype=genotype,
        outcome="failed",
        reason=reason.strip().splitlines()[0] if reason.strip() else type(error).__name__,
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
        self.measure = measure
        self.sitting = Sitting(factory.assembly, measure, [])
        self.previewed = Treatment(progress.genotype)

    def run(self, *, trains: bool) -> Record:
        preview = self.factory.compress(self.factory.build(self.now.genotype), self.previewed)
        self._take(self.now, self.assembly.tier("static"), self._subject(preview))
        if broken := self._broken(self.now.values):
            return self._rejected(broken)
        with WorkingFolder("candidate") as folder:
            maker = FileMaker(self.factory, preview, folder / "preview", final=False)
            if self.assembly.tier("deployed") and (broken := self._hopeless(preview, maker)):
                return self._rejected(broken)
            if not trains:
                return self._record(self.now, "stopped", step="training")
            return self._trained(preview, maker, folder)

    def _hopeless(self, preview: nn.Module, maker: FileMaker) -> dict[str, float]:
        """By how much the untrained network breaks budgets on devices, if each variant does.

        Its untouched files are looked at first, as they cost least. Raises what kept all variants
        from being made.
        """
        self.now.step = "export of the untrained network"
        variants = self.assembly.compression.variants(self.now.genotype)
        cheap = self.assembly.compression.untouched(self.now.genotype)
        known = {variant.genotype.key for variant in cheap}
        dear = [variant for variant in variants if variant.genotype.key not in known]
        found: list[dict[str, float] | Exception] = []
        made: list[VariantFiles] = []
        for group in (cheap, dear):
            made += [maker.made(variant, self.previewed) for variant in group]
            if group:
                self.sitting = Sitting(self.assembly, self.measure, list(made), before=self.sitting)
            # All of them by the last sitting, of which latencies are recorded.
            found = self._foreseen(preview, made)
            if any(isinstance(values, dict) and not self._broken(values) for values in found):
                break
        own = found[0]
        if isinstance(own, dict):
            self.now.values.update(own)
        told = [values for values in found if isinstance(values, dict)]
        if not told and isinstance(own, Exception):
            raise own
        hopeless = all(self._broken(values) for values in told)
        return self._broken(told[0]) if hopeless else {}

    def _foreseen(
        self, preview: nn.Module, made: Sequence[VariantFiles]
    ) -> list[dict[str, float] | Exception]:
        """What files of the untrained network are worth, or what is wrong with each."""
        found: list[dict[str, float] | Exception] = []
        for number, files in enumerate(made):
            seen = _Progress(self.now.number, files.genotype, values=dict(self.now.values))
            subject = replace(self._subject(preview), genotype=files.genotype)
            try:
                self._take(seen, self.assembly.tier("deployed"), subject, number)
            except (DeviceError, RunError):
                raise
            except Exception as error:
                found.append(error)
            else:
                found.append(seen.values)
            self.now.step = seen.step
        return found

    def _trained(self, preview: nn.Module, maker: FileMaker, folder: Path) -> Record:
        self.now.step = "training"
        self.now.extra["trained"] = True
        estimator = self.assembly.estimator
        context = self._estimation()
        network = self._untrained(preview, context)
        estimate = estimator.estimate(network, self.now.genotype, context)
        self.now.curve = list(estimate.curve)
        if estimate.stopped:
            done = len(self.now.curve)
            reason = f"after {plural(done, 'epoch')} clearly behind candidates that cost no more"
            return self._record(self.now, "stopped", reason=reason, step="training")
        if estimator.predicts:
            self.now.extra["predicted"] = estimate.predicted is not None
        if estimate.predicted is not None:
            metrics = {self.assembly.task.leading.name: estimate.predicted}
            return self._variants(preview, maker, self.previewed, metrics)
        self.now.step = "compression"
        epochs = self.factory.config.train.epochs
        treatment = Treatment(self.now.genotype, epochs, estimator.sees(context))
        network = self.factory.compress(estimate.network, treatment)
        if treatment.report:
            self.now.extra["compression"] = treatment.report
        self.now.step = "export"
        return self._variants(
            network, FileMaker(self.factory, network, folder / "model", final=False), treatment
        )

    def _untrained(self, preview: nn.Module, context: EstimationContext) -> nn.Module:
        """What the estimator is given: in the final shape if it only looks."""
        if not self.assembly.estimator.foretells(context):
            return self.factory.started(self.now.genotype)
        if self.factory.start is None:
            return preview
        started = self.factory.started(self.now.genotype)
        return self.factory.compress(started, self.previewed)

    def _variants(
        self,
        network: nn.Module,
        maker: FileMaker,
        treatment: Treatment,
        predicted: Mapping[str, float] | None = None,
    ) -> Record:
        """The record of what was proposed, with those of everything else the network gave.

        Without an objective that a file decides there is but the one.
        """
        variants = self.assembly.compression.variants(self.now.genotype)
        if not self.assembly.tier("deployed"):
            variants = variants[:1]
        made = (
            [] if predicted and len(variants) == 1 else [maker.made(v, treatment) for v in variants]
        )
        self.sitting = Sitting(self.assembly, self.measure, made, before=self.sitting)
        if predicted is None:
            self._take(self.now, self.assembly.tier("static"), self._subject(network))
        own, *others = [
            self._judged(variant, number, network, predicted)
            for number, variant in enumerate(variants)
        ]
        return replace(own, variants=tuple(others))

    def _judged(
        self,
        variant: Variant,
        number: int,
        network: nn.Module,
        predicted: Mapping[str, float] | None,
    ) -> Record:
        """What became of one variant; whatever is wrong with it is its own failure."""
        start, now = time.monotonic(), self._progress_of(variant, number)
        made = self.sitting.made(number)
        try:
            if made is not None and made.error is not None:
                raise made.error
            if predicted is None:
                assert made is not None
                subject = self._scored(now, network, made)
            else:
                subject = self._subject(network, predicted)
            if made is not None and made.report:
                now.extra["compression"] = {**now.extra.get("compression", {}), **made.report}
            subject = replace(subject, genotype=variant.genotype)
            self._take(now, self.assembly.tier("estimated", "deployed"), subject, number)
            broken = self._broken(now.values)
            record = self._rejected(broken, now) if broken else self._record(now, "feasible")
        except (DeviceError, RunError):
            raise
        except Exception as error:
            record = _failed(now, error, self.factory.folder)
        own = number == 0
        return replace(
            record,
            genotype=variant.genotype,
            choices=variant.answers,
            network=None if own else self.now.number,
            latencies=self.sitting.latencies(number),
            seconds=time.monotonic() - start,
            finished_at=time.time(),
        )

    def _progress_of(self, variant: Variant, number: int) -> _Progress:
        """What all variants of the network share; its curve is told of the one that was trained."""
        if number == 0:
            return self.now
        static = {target.name for target in self.assembly.tier("static")}
        values = {name: value for name, value in self.now.values.items() if name in static}
        shared = {k: v for k, v in self.now.extra.items() if k in ("predicted", "compression")}
        if shared.get("predicted"):
            shared["predicted_for"] = self.now.number
        return _Progress(self.now.number, variant.genotype, "export", values, shared)

    def _scored(self, now: _Progress, network: nn.Module, made: VariantFiles) -> Subject:
        """The network with what its files answer, each in the runtime that is to run it."""
        found = scored(made, self.factory)
        if self.assembly.task.leading.of_images:
            now.extra["validation_images"] = found.judge.count
        changed = self.factory.changed_images(found.artifact, "validation", found.runtime)
        return replace(self._subject(network, found.judge.figures()), judge=changed)

    def _subject(self, network: nn.Module, metrics: Mapping[str, float] | None = None) -> Subject:
        shape = self.assembly.facts.shape
        return Subject(self.now.genotype, network, shape, metrics=metrics or {})

    def _take(
        self, now: _Progress, targets: Sequence[Target], subject: Subject, number: int = 0
    ) -> None:
        """Objectives of one of the variants that are sitting, by its number."""
        for target in targets:
            now.step = f"objective {target.name}"
            # A device's measurement takes the gate for itself; the rest is work like training.
            # So does what a file is asked, for a batch at a time.
            deployed = target.objective.tier == "deployed"
            alone = deployed or target.objective.needs_answers
            with nullcontext() if alone else self.factory.gate.shared():
                seen = self.sitting.seen(subject, number, target.device) if deployed else subject
                value = self.factory.measure(target.objective, seen)
            if not math.isfinite(value):
                raise CandidateError(f"objective {target.name} is {value}, expected a finite one.")
            now.values[target.name] = value

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

    def _broken(self, values: Mapping[str, float]) -> dict[str, float]:
        return excess(values, self.assembly.targets)

    def _rejected(self, broken: dict[str, float], now: _Progress | None = None) -> Record:
        values = (now or self.now).values
        # Where only others were foreseen, what they break is not the candidate's own to tell.
        told = [t for t in self.assembly.targets if t.name in broken and t.name in values]
        reasons = [_sentence(target, values) for target in told]
        text = "; ".join(reasons) or "no variant keeps the budgets"
        return self._record(now or self.now, "rejected", violations=broken, reason=text)

    def _record(self, now: _Progress, outcome: Outcome, **more: Any) -> Record:
        return Record(
            number=now.number,
            genotype=now.genotype,
            outcome=outcome,
            values=dict(now.values),
            curve=tuple(now.curve),
            extra=dict(now.extra),
            latencies=self.sitting.latencies(0),
            **more,
        )


def _failed(now: _Progress, error: BaseException, run: Path) -> Record:
    """The record of a candidate, or of one of its variants, at which something broke.

    Raises RunError for a full disk, which is not its fault.
    """
    if trouble := disk_trouble(error) or full(own_root(), run):
        raise RunError(f"{trouble}: free some disk space, then resume the search.") from error
    record = failure(now.number, now.genotype, error, step=now.step)
    return replace(record, values=now.values, curve=tuple(now.curve), extra=now.extra)


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
