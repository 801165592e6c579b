"""What a search gains from an earlier one, on problems of which all answers are known.

    python benchmarks/earlier_runs.py [--problems row four-stages …] [--seeds 10]

An earlier search of 60 candidates (guided, other seeds) is given to a second one: as evaluations
of the same problem, as a prior of a related one (other images: another scale, a fifth of what
makes networks differ is new), and as a prior that misleads (what was good there is bad here).
Printed is the hypervolume after 5, 10, 20 and 40 candidates of the second search as a share of the
best that is known, mean over seeds and worst seed. Evaluations count with what was known before,
"own" counts the second search's alone. About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from samplers import Judge, problems, told

from orchestrator import Earlier, Genotype, Ground, Record, WorkingFolder
from orchestrator.plugins import installed
from orchestrator.search.proposer import Proposer

_BEFORE = 60
_LOOKED_AT = (5, 10, 20, 40)
_PROBLEMS = ("row", "table", "three-stages", "four-stages")


@dataclass(frozen=True)
class Given:
    """What a search is given: evaluations, or priors."""

    evaluations: Sequence[Record] = ()
    priors: Sequence[Earlier] = ()


def searched(problem: Any, seed: int, count: int, given: Given) -> list[list[Record]]:
    """Evaluations that were given, and candidates of its own, in their order."""
    ground = Ground(problem.axes, problem.draw, problem.static, problem.budgets)

    def make(own: int) -> Any:
        return installed().create("sampler", "guided", {}, given={"seed": own})

    with WorkingFolder("earlier") as folder:
        journal = folder / "study.journal"
        proposer = Proposer(journal, ground, make, seed=seed, earlier=given.priors)
        known = proposer.take_over(given.evaluations)
        own: list[Record] = []
        while len(own) < count and (proposal := proposer.propose()) is not None:
            own.append(told(problem, proposal, seed))
            proposer.tell(own[-1])
        return [known, own]


def before(problem: Any, seed: int) -> list[Record]:
    """What an earlier search found."""
    return searched(problem, 1000 + seed, _BEFORE, Given())[1]


def evaluations(problem: Any, seed: int) -> Given:
    """Of the very same problem."""
    return Given([replace(record, earlier="before") for record in before(problem, seed)])


def related(problem: Any, seed: int) -> Given:
    """Of other images: other accuracies, largely in the same order."""
    return _prior(problem, seed, lambda accuracy, luck: 0.3 + 0.5 * accuracy + 0.05 * luck)


def misleading(problem: Any, seed: int) -> Given:
    """Of images on which what is good here is bad."""
    return _prior(problem, seed, lambda accuracy, luck: 0.95 - 0.5 * accuracy + 0.05 * luck)


def _prior(problem: Any, seed: int, changed: Callable[[float, float], float]) -> Given:
    def truth(genotype: Genotype) -> Any:
        found, luck = problem.truth(genotype), int(genotype.key[:6], 16) / 16**6 - 0.5
        return replace(found, accuracy=changed(found.accuracy, luck))

    other = before(replace(problem, truth=truth), seed)
    holds = frozenset(axis.name for axis in problem.axes[1:])
    return Given(priors=[Earlier("before", other, ("data",), holds)])


_WAYS: dict[str, Callable[[Any, int], Given]] = {
    "nothing": lambda problem, seed: Given(),
    "evaluations": evaluations,
    "related prior": related,
    "misleading prior": misleading,
}


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    heads = "".join(f"@{count}".rjust(16) for count in _LOOKED_AT)
    print(f"{'problem':14}{'given':22}{'  n'}{heads}", flush=True)
    for name in options.problems:
        judge = Judge(problems()[name]())
        for way, make in _WAYS.items():
            rows: dict[str, list[list[float]]] = {}
            for seed in range(options.seeds):
                given = make(judge.problem, seed)
                known, own = searched(judge.problem, seed, _LOOKED_AT[-1], given)
                for told_as, start in ({"": known, " (own)": []} if known else {"": []}).items():
                    scores = [_score(judge, [*start, *own[:count]]) for count in _LOOKED_AT]
                    rows.setdefault(f"{way}{told_as}", []).append(scores)
            for title, found in rows.items():
                print(_shown(name, title, found), flush=True)


def _score(judge: Judge, records: Sequence[Record]) -> float:
    return judge.score([record.genotype for record in records if record.outcome != "failed"])


def _shown(problem: str, way: str, found: Sequence[Sequence[float]]) -> str:
    cells = "".join(
        f"{statistics.mean(scores):.3f} ({min(scores):.3f})".rjust(16)
        for scores in zip(*found, strict=True)
    )
    return f"{problem:14}{way:22}{len(found):3}{cells}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", default=list(_PROBLEMS), choices=list(problems()))
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
