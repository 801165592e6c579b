"""Every sampler on problems of which all answers are known.

    python benchmarks/samplers.py [--problems row four-stages …] [--samplers guided tpe …]
    python benchmarks/samplers.py --samplers guided slimming netadapt compound

Problems are those of `examples/tabulated_plugin`. Printed is, for each problem and sampler, the
hypervolume after 50, 100, 200 and 300 paid candidates as a share of the best that is known: the
mean over seeds, the worst seed after it, then the CPU milliseconds of a proposal told and told
back, and how many candidates a budget rejected before they were paid for. Optuna's samplers get
what a search gives them: constraints for budgets, failed trials as failed. Scores go by accuracy
without noise. About a quarter of an hour of one core for each of guided and TPE. A sampler that a
problem does not suit says why.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna

from orchestrator import Genotype, Ground, Measured, Outcome, Proposal, Record, WorkingFolder
from orchestrator.analysis import pareto
from orchestrator.errors import PluginError
from orchestrator.plugins import installed
from orchestrator.search.proposer import Proposer
from orchestrator.trials import PartlyKnownTrial, every_answer

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "tabulated_plugin" / "src"))
_LOOKED_AT = (50, 100, 200, 300)
_SAMPLERS = ("guided", "tpe", "nsga2", "random", "gp")
# Spaces up to this size are enumerated; of others a long evolution without noise stands for the
# best there is.
_ENUMERATED = 30_000
_GENERATIONS, _CHILDREN = 160, 250


@dataclass(frozen=True)
class Searched:
    """Hypervolumes when looked at, CPU ms a candidate, and candidates that a budget rejected.

    `shortlists` is how many of those were measured.
    """

    scores: tuple[float, ...]
    cpu_ms: float
    rejected: int
    shortlists: int = 0


@dataclass(frozen=True)
class Judge:
    """A problem, with the best that is known of it; `measured` networks are on a shortlist."""

    problem: Any
    measured: int = 0

    def score(self, found: Sequence[Genotype]) -> float:
        """The hypervolume of networks, as a share of the best that is known."""
        return self._volume([self.problem.exact(genotype) for genotype in found]) / self.best

    @cached_property
    def best(self) -> float:
        """The hypervolume of all networks, or of what an evolution of 40,000 comes to."""
        everything = every_answer(self.problem.draw, _ENUMERATED)
        if everything is not None:
            return self._volume(self._points([genotype for _, genotype in everything]))
        return self._volume(self._points(self._evolved()))

    def _evolved(self) -> list[Genotype]:
        rng = random.Random(0)
        known: dict[str, tuple[dict[str, Any], Genotype]] = {}
        parents: Sequence[Mapping[str, Any]] = [{}]
        for generation in range(_GENERATIONS):
            for child in range(_CHILDREN):
                trial = PartlyKnownTrial(_mutant(parents, rng), _CHILDREN * generation + child)
                genotype = self.problem.draw(trial)
                known.setdefault(genotype.key, (trial.choices, genotype))
            entries = list(known.values())
            points = self._points([genotype for _, genotype in entries])
            chosen = pareto.front(points, self.problem.axes)
            entries = [entries[i] for i in chosen]
            known = {genotype.key: (choices, genotype) for choices, genotype in entries}
            parents = [choices for choices, _ in entries]
        return [genotype for _, genotype in known.values()]

    def _points(self, found: Sequence[Genotype]) -> list[dict[str, float]]:
        exact = [self.problem.exact(genotype) for genotype in found]
        failing = [self.problem.fails(genotype) for genotype in found]
        # What fails or breaks a budget counts as the worst there is.
        worst = {axis.name: axis.reference for axis in self.problem.axes}
        kept = [bad or not self._keeps(point) for point, bad in zip(exact, failing, strict=True)]
        return [worst if out else point for point, out in zip(exact, kept, strict=True)]

    def _keeps(self, point: Mapping[str, float]) -> bool:
        return all(not budget.excess(point[n]) for n, budget in self.problem.budgets.items())

    def _volume(self, points: Sequence[Mapping[str, float]]) -> float:
        kept = [point for point in points if self._keeps(point)]
        return pareto.hypervolume(kept, self.problem.axes)


def _mutant(parents: Sequence[Mapping[str, Any]], rng: random.Random) -> dict[str, Any]:
    """A parent that lacks some answers, which are drawn anew, or has some of another's."""
    child = dict(rng.choice(parents))
    if rng.random() < 0.4:
        other = rng.choice(parents)
        child |= {name: other[name] for name in child if name in other and rng.random() < 0.5}
    for name in rng.sample(list(child), min(len(child), rng.randint(1, 3))):
        del child[name]
    return child


def searched(judge: Judge, sampler: str, seed: int, looked_at: Sequence[int]) -> Searched:
    """One search, told at once what it asks."""
    problem = judge.problem

    def make(own: int) -> Any:
        options = {"measured": judge.measured} if sampler == "guided" else {}
        return installed().create("sampler", sampler, options, given={"seed": own})

    measurable = problem.measured if judge.measured else ()
    ground = Ground(
        problem.axes, problem.draw, problem.static, problem.budgets, measurable=measurable
    )
    paid, scores, cpu_s, rejected, shortlists = list[Record](), list[float](), 0.0, 0, 0
    with WorkingFolder("samplers") as folder:
        proposer = Proposer(folder / "study.journal", ground, make, seed=seed)
        while len(paid) < looked_at[-1] and rejected < 20 * looked_at[-1]:
            begun = time.process_time()
            if wanted := proposer.shortlist():
                shortlists += 1
                over = proposer.measured([_measured(problem, m, seed) for m in wanted])
                rejected += len(over)
            proposal = proposer.propose()
            cpu_s += time.process_time() - begun
            if proposal is None:
                break
            record = told(problem, proposal, seed)
            begun = time.process_time()
            proposer.tell(record)
            cpu_s += time.process_time() - begun
            rejected += not record.paid
            paid += [record] if record.paid else []
            if record.paid and len(paid) in looked_at:
                scores.append(_score(judge, paid))
    scores += [_score(judge, paid)] * (len(looked_at) - len(scores))
    return Searched(tuple(scores), 1000 * cpu_s / (len(paid) + rejected), rejected, shortlists)


def _score(judge: Judge, paid: Sequence[Record]) -> float:
    return judge.score([record.genotype for record in paid if record.outcome != "failed"])


def _measured(problem: Any, wanted: Measured, seed: int) -> Record:
    """What a worker would find of a network of a shortlist."""
    values = problem.before(wanted.genotype, seed)
    over = _excess(problem, values)
    outcome: Outcome = "rejected" if over else "stopped"
    return Record(-1, wanted.genotype, outcome, values, wanted.choices, violations=over)


def told(problem: Any, proposal: Proposal, seed: int) -> Record:
    """What an evaluation would tell: budgets first, then a training."""
    genotype = proposal.genotype
    values = problem.before(genotype, seed)
    record = Record(
        proposal.number, genotype, "rejected", values, proposal.choices, origin=proposal.origin
    )
    if over := _excess(problem, values):
        return replace(record, violations=over)
    accuracy = problem.trained(genotype, seed)
    if accuracy is None:
        return replace(record, outcome="failed", extra={"trained": True})
    values = {**values, "accuracy": accuracy}
    over = _excess(problem, values)
    return replace(
        record,
        outcome="rejected" if over else "feasible",
        values=values,
        violations=over,
        curve=(accuracy,),
        extra={"trained": True},
    )


def _excess(problem: Any, values: Mapping[str, float]) -> dict[str, float]:
    found = {n: b.excess(values[n]) for n, b in problem.budgets.items() if n in values}
    return {name: over for name, over in found.items() if over}


def show(problem: str, sampler: str, found: Sequence[Searched]) -> str:
    """A line of the table."""
    cells = ""
    for scores in zip(*(each.scores for each in found), strict=True):
        cells += f"{statistics.mean(scores):.3f} ({min(scores):.3f})".rjust(16)
    cpu_ms = statistics.mean(each.cpu_ms for each in found)
    rejected = statistics.mean(each.rejected for each in found)
    told = f"{rejected:6.0f} rejected" if rejected else ""
    if shortlists := statistics.mean(each.shortlists for each in found):
        told += f"{shortlists:6.0f} shortlists"
    return f"{problem:18}{sampler:9}{len(found):3}{cells}{cpu_ms:8.1f} ms{told}"


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    looked_at = [count for count in _LOOKED_AT if count <= options.candidates]
    heads = "".join(f"@{count}".rjust(16) for count in looked_at)
    print(f"{'problem':18}{'sampler':9}{'  n'}{heads}", flush=True)
    for name in options.problems:
        judge = Judge(problems()[name](), measured=options.measured)
        for sampler in options.samplers:
            print(_line(judge, sampler, range(options.seeds), looked_at), flush=True)


def _line(judge: Judge, sampler: str, seeds: Sequence[int], looked_at: Sequence[int]) -> str:
    name = judge.problem.name
    try:
        return show(name, sampler, [searched(judge, sampler, seed, looked_at) for seed in seeds])
    except PluginError as error:
        return f"{name:18}{sampler:9}   does not apply: {error}"


def problems() -> Mapping[str, Any]:
    """Name → what makes it."""
    found: Mapping[str, Any] = import_module("orchestrator_tabulated.problems").PROBLEMS
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(problems())
    parser.add_argument("--problems", nargs="+", default=names, choices=names)
    parser.add_argument("--samplers", nargs="+", default=list(_SAMPLERS[:4]))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=300)
    parser.add_argument("--measured", type=int, default=0, help="networks of guided's shortlists")
    return parser.parse_args()


if __name__ == "__main__":
    main()
