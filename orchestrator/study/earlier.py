"""Earlier runs that a search starts from: evaluations where all is the same, else a prior.

What is taken from them is written into the run's own folder, so that it goes on without theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.ledger import Ledger
from orchestrator.analysis.remeasured import Remeasured
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.former import as_it_began
from orchestrator.contracts import Axis, Budget, Earlier
from orchestrator.errors import ConfigError, RunError, plural
from orchestrator.files import read_json, write_whole
from orchestrator.plan.planning import Plan
from orchestrator.records import Record
from orchestrator.search.journal import families, read_records
from orchestrator.search.samplers import adapted
from orchestrator.study.conditions import Conditions, told_apart
from orchestrator.study.recalibrating import Recalibration
from orchestrator.study.run_folder import RunFolder

__all__ = ["Known", "earlier_runs", "keep_earlier", "kept_earlier"]

_FILE, _FORMAT = "history.json", 1


@dataclass(frozen=True)
class Known:
    """What a search knows before it begins.

    `evaluations` hold here as they are, each with `Record.earlier` and the number it had;
    `sentences` tell the user what became of each run. `weights` are files of those evaluations that
    may become finalists, as final training goes on from them.
    """

    evaluations: Sequence[Record] = ()
    priors: Sequence[Earlier] = ()
    sentences: Sequence[str] = ()
    weights: Sequence[Path] = ()


def earlier_runs(factory: Factory, plan: Plan) -> Known:
    """What the runs of `sampler.history` tell; raises UsageError before anything is paid for.

    ConfigError for another space, and for a sampler that would not look at a prior.
    """
    found = [_read(Path(path), factory, plan) for path in factory.config.sampler.history]
    evaluations = [record for known in found for record in known.evaluations]
    priors = [prior for known in found for prior in known.priors]
    sentences = [text for known in found for text in known.sentences]
    told = [*sentences, *_of_sampler(factory, evaluations, priors)]
    weights = [path for known in found for path in known.weights]
    return Known(evaluations, priors, told, weights)


def keep_earlier(folder: Path, known: Known) -> None:
    """Write it into a run's folder; raises RunError. Nothing is written where nothing is known."""
    if not known.evaluations and not known.priors:
        return
    for path in known.weights:
        write_whole(folder / "weights" / path.name, path.read_bytes())
    told = {
        "format": _FORMAT,
        "evaluations": [record.to_json() for record in known.evaluations],
        "priors": [_prior_told(prior) for prior in known.priors],
    }
    # On one line: of ten thousand candidates' curves each number would have one of its own.
    write_whole(folder / _FILE, json.dumps(told, separators=(",", ":")))


def kept_earlier(folder: Path) -> Known:
    """What `keep_earlier` kept; raises RunError for a damaged file."""
    path = folder / _FILE
    if not path.is_file():
        return Known()
    stored = read_json(path, format=_FORMAT)
    try:
        evaluations = [Record.from_json(told) for told in stored["evaluations"]]
        return Known(evaluations, [_prior_of(told) for told in stored["priors"]])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}. Restore it from a copy.") from error


def _prior_told(prior: Earlier) -> dict[str, Any]:
    return {
        "origin": prior.origin,
        "records": [record.to_json() for record in prior.records],
        "differs": list(prior.differs),
        "holds": sorted(prior.holds),
    }


def _prior_of(told: Mapping[str, Any]) -> Earlier:
    records = [Record.from_json(record) for record in told["records"]]
    return Earlier(told["origin"], records, tuple(told["differs"]), frozenset(told["holds"]))


def _read(folder: Path, factory: Factory, plan: Plan) -> Known:
    """One run's."""
    home = RunFolder(folder)
    config, before = as_it_began(home.config(), factory.plugins), home.plan()
    here = Conditions.of(factory.config, plan, factory.plugins)
    there = Conditions.of(config, before, factory.plugins)
    if apart := told_apart(here.space, there.space):
        raise ConfigError(
            f"sampler.history: {folder} is a run of another space: {'; '.join(apart)}. Leave it "
            "out, or search what it searched."
        )
    records = Remeasured.read(folder).applied(read_records(home.journal))
    asked = [target for target in factory.assembly.targets if target.searched or target.has_budget]
    differs = here.differs(there, [target.name for target in asked])
    if not factory.assembly.tier("deployed"):
        differs.pop("device", None)  # nothing is measured on it
    if "device" not in differs:
        units = Recalibration.between(factory.config, before, plan, factory.plugins)
        records = [units.record(record) for record in records]
    name = folder.resolve().name
    if differs:
        return _prior(name, records, differs, _holding(factory, here, there, differs))
    judged = _Judge(
        [target.name for target in asked],
        {t.name: Budget(t.config.min, t.config.max) for t in asked if t.has_budget},
        {axis.name for axis in before.axes} == {axis.name for axis in plan.axes},
    )
    kept = [own for record in families(records) for own in judged.family(record, name)]
    trained = sum(record.network is None for record in kept)
    paid = plural(trained, "candidate")
    text = f"sampler.history: takes {paid} of {name} as evaluated, and pays for none."
    return Known(kept, (), [text], _weights(folder, kept, plan.axes))


def _weights(folder: Path, records: Sequence[Record], axes: Sequence[Axis]) -> list[Path]:
    """Where those of the front's networks lie, as far as the run has kept any."""
    members = Ledger(axes, records).front
    names = dict.fromkeys(f"{record.genotype.plain().key}.safetensors" for record in members)
    return [path for name in names if (path := folder / "weights" / name).is_file()]


def _prior(
    name: str, records: Sequence[Record], differs: Mapping[str, list[str]], holds: frozenset[str]
) -> Known:
    told = "; ".join(f"{group}: {', '.join(texts)}" for group, texts in differs.items())
    same = f" What it knows of {', '.join(sorted(holds))} holds here as well." if holds else ""
    text = f"sampler.history: {name} is a prior, which fades, as it had other {told}.{same}"
    return Known((), [Earlier(name, records, tuple(differs), holds)], [text])


def _holding(
    factory: Factory, here: Conditions, there: Conditions, differs: Mapping[str, list[str]]
) -> frozenset[str]:
    """The objectives whose values are the same under both conditions."""
    alike = {"shapes": here.shapes == there.shapes} | {
        group: group not in differs for group in ("data", "device", "recipe")
    }
    needs = {
        "static": ("shapes",),
        "estimated": ("data", "recipe"),
        "deployed": ("shapes", "device"),
    }
    return frozenset(
        target.name
        for target in factory.assembly.targets
        if here.knows(there, target.name)
        and all(alike[need] for need in needs[target.objective.tier])
    )


@dataclass(frozen=True)
class _Judge:
    """Judges an earlier run's candidates by this search's objectives and budgets."""

    asked: Sequence[str]
    budgets: Mapping[str, Budget]
    same_axes: bool

    def family(self, record: Record, name: str) -> list[Record]:
        """A training with its variants; those of which too little is known are left out."""
        own = self._judged(record, name)
        if own is None:
            return []
        more = [self._judged(variant, name) for variant in record.variants]
        return [replace(own, variants=()), *(variant for variant in more if variant)]

    def _judged(self, record: Record, name: str) -> Record | None:
        origin = record.earlier or name
        told = replace(record, earlier=origin)
        if record.outcome == "failed":
            return told
        over = {
            n: b.excess(record.values[n]) for n, b in self.budgets.items() if n in record.values
        }
        broken = {n: excess for n, excess in over.items() if excess > 0}
        if broken:
            return replace(told, outcome="rejected", violations=broken)
        if record.outcome == "stopped":
            return told if self.same_axes else None
        if any(objective not in record.values for objective in self.asked):
            return None  # a budget of that run kept it from being trained
        return replace(told, outcome="feasible", violations={})


def _of_sampler(
    factory: Factory, evaluations: Sequence[Record], priors: Sequence[Earlier]
) -> list[str]:
    """What the sampler makes of it; raises ConfigError where it would not look at a prior."""
    chosen = factory.config.sampler
    made = factory.plugins.create("sampler", chosen.name, chosen.options, given={"seed": 0})
    uses = adapted(made).uses_earlier
    if priors and uses != "priors":
        told = ", ".join(f"{prior.origin} ({', '.join(prior.differs)})" for prior in priors)
        raise ConfigError(
            f"sampler.history: found runs under other conditions: {told}. sampler={chosen.name} "
            "starts from evaluations under the same ones at most. Say sampler=guided, or leave "
            "them out."
        )
    if evaluations and uses == "nothing":
        return [
            f"sampler.history: sampler={chosen.name} learns nothing of earlier runs; their "
            "candidates are on the front and are not evaluated again, and that is all."
        ]
    return []
