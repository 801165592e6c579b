"""CPU time to a front: ours against plain Ray Tune + OptunaSearch that trains each candidate.

    python benchmarks/time_to_front.py --data FOLDER [--space mobilenetv3] [--per-class 500]
        [--weights auto | NAME | PATH] [--inherit ours | plain | both] [--sampler guided]
        [--arms shared trained probe] [--our-seconds 300]

FOLDER holds images, one folder a class (or train/ and test/ of such). Both arms search the same
space for validation accuracy and multiply-adds with the same networks and training code, one
process at a time on one thread:

  plain    tune.Tuner + OptunaSearch (its own default sampler), `--epochs` of training a candidate,
           until `--plain-seconds` of CPU are spent;
  shared   weights shared by `estimator=supernet` for each of `--shared-epochs`, then
           `--evaluations` candidates judged with them;
  trained  `--few` candidates, each trained for `--few-epochs`;
  probe    `--evaluations` candidates judged by `estimator=probe`, which needs `--weights`.

Candidates of all arms but the first are proposed by `--sampler`; each of these arms ends with its
candidates or, if `--our-seconds` says so, when as much CPU is spent. Samplers are compared at equal
CPU by one command each, with that and `--plain-seconds 0`, which leaves the plain arm out. With
`--weights` the space is that of full size and images have 64 px; `--inherit` says which arms'
networks start from the weights: candidates, shared weights and finalists of that arm.

Of each front `--finalists` are trained alike: `--final-epochs` from the weights they have. The
hypervolume is that of their accuracy on the test split and their multiply-adds. CPU seconds count
training, judging and proposing; what Tune spends on starting its processes is not counted against
it. The front of the plain arm is looked at several times on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from trained_start import FINE_TUNED, IMAGE_SIZE, begun, prepared

from orchestrator import Ground, Record, SearchSpace
from orchestrator.analysis import pareto
from orchestrator.config import TrainConfig
from orchestrator.contracts import EstimationContext, Estimator, Subject
from orchestrator.contracts.objective import Axis
from orchestrator.estimators.further import load_weights
from orchestrator.estimators.probe import ProbeEstimator
from orchestrator.estimators.supernet import SupernetEstimator
from orchestrator.estimators.train import TrainEstimator
from orchestrator.plugins import installed
from orchestrator.pretrained.starting import StartingWeights
from orchestrator.records import Genotype
from orchestrator.search.cluster import WORKER_ENV
from orchestrator.search.proposer import Proposer
from orchestrator.training.building import build_network
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.estimation import estimation_context, footing_of
from orchestrator.training.footing import Footing
from orchestrator.training.scoring import leading_figure
from orchestrator.trials import FixedTrial

# Shares of the plain arm's budget after which its finalists are trained.
_LOOKED_AT = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)


@dataclass(frozen=True)
class Candidate:
    """What an arm knows of a network, and the CPU seconds the arm had spent when it knew."""

    genotype: Genotype
    accuracy: float
    macs: float
    spent_s: float

    @property
    def values(self) -> dict[str, float]:
        """As the front wants them."""
        return {"accuracy": self.accuracy, "macs": self.macs}


@dataclass(frozen=True)
class Arm:
    """A way to a front: its estimator gives finalists their weights. `finished` is kept."""

    name: str
    estimator: Estimator
    context: EstimationContext
    axes: Sequence[Axis]
    finished: dict[str, tuple[float, float]] = field(default_factory=dict)


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    os.environ.update(WORKER_ENV)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with tempfile.TemporaryDirectory() as folder:
        context = _context(options, Path(folder) / "plain")
        axes = _axes(context)
        ours = []
        for name, estimator, most in _estimators(options):
            mine = _inheriting(context, options, Path(folder) / name.replace(" ", "-"), "ours")
            mine = replace(mine, train=replace(mine.train, epochs=options.few_epochs))
            arm = Arm(name, estimator, mine, axes)
            ours.append(_point(arm, list(_judged(arm, most, options)), options))
        context = _inheriting(context, options, context.weights, "plain")
        arm, plain = Arm("plain", TrainEstimator(), context, axes), []
        found = _plain(options, context) if options.plain_seconds else []
        for share in _LOOKED_AT if found else ():
            limit = options.plain_seconds * share
            known = [c for c in found if c.spent_s <= limit] if share < 1 else found
            plain.append(_point(arm, known, options))
    _show(plain, ours)
    if options.out:
        Path(options.out).write_text(json.dumps({"plain": plain, "ours": ours}, indent=1))


def _estimators(options: argparse.Namespace) -> Iterator[tuple[str, Estimator, int]]:
    """Name, estimator and number of candidates of each arm of ours."""
    if "shared" in options.arms:
        for epochs in options.shared_epochs:
            yield f"shared {epochs} epochs", SupernetEstimator(epochs=epochs), options.evaluations
    if "trained" in options.arms:
        yield f"trained {options.few_epochs} epochs", TrainEstimator(), options.few
    if "probe" in options.arms:
        yield "probe", ProbeEstimator(), options.evaluations


def _plain(options: argparse.Namespace, context: EstimationContext) -> list[Candidate]:
    """Every candidate that Tune trained, in order."""
    stopper = _Budget(options.plain_seconds)
    searcher = OptunaSearch(
        space=_Asked(context.space),
        metric=["accuracy", "macs"],
        mode=["max", "min"],
        seed=options.seed,
    )
    # By its module's name, as what is defined in a script would be pickled with all it uses.
    script = importlib.import_module("time_to_front")
    settings = {"options": vars(options), "weights": str(context.weights)}
    tuner = tune.Tuner(
        tune.with_parameters(script.train_candidate, **settings),
        tune_config=tune.TuneConfig(
            search_alg=searcher, num_samples=10_000, max_concurrent_trials=1
        ),
        run_config=tune.RunConfig(
            storage_path=str(context.weights.parent / "tune"), verbose=0, stop=stopper
        ),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.fit()
    return stopper.found


class _Asked:
    """The space in Optuna's define-by-run form."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def __call__(self, trial: Any) -> None:
        self.space.suggest(trial)


class _Budget(tune.stopper.Stopper):  # type: ignore[misc]
    """Ends the plain arm when its CPU seconds are spent; keeps what was told."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.spent_s = seconds, 0.0
        self.found: list[Candidate] = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.spent_s += result["cpu_s"]
        genotype = Genotype.from_json(json.loads(result["genotype"]))
        candidate = Candidate(genotype, result["accuracy"], result["macs"], self.spent_s)
        self.found.append(candidate)
        told = f"plain {len(self.found):3}  {self.spent_s:6.0f} s  {candidate.values}"
        print(told, file=sys.stderr, flush=True)  # standard output is kept from Tune
        return True

    def stop_all(self) -> bool:
        return self.spent_s >= self.seconds


def train_candidate(config: Mapping[str, Any], options: Mapping[str, Any], weights: str) -> None:
    """One candidate of the plain arm, in a process of its own."""
    torch.set_num_threads(1)
    told = argparse.Namespace(**options)
    context = _inheriting(_context(told, Path(weights)), told, Path(weights), "plain")
    start = time.process_time()
    genotype, network = _built(context, FixedTrial(config))
    estimate = TrainEstimator().estimate(network, genotype, context)
    tune.report(
        {
            "accuracy": estimate.curve[-1],
            "macs": _macs(genotype, network, context),
            "genotype": json.dumps(genotype.to_json()),
            "cpu_s": time.process_time() - start,
        }
    )


def _judged(arm: Arm, most: int, options: argparse.Namespace) -> Iterator[Candidate]:
    """So many candidates of an arm of ours, named points first, as a search has them."""
    estimator, context = arm.estimator, arm.context
    start = time.process_time()
    for sentence in estimator.prepare(context):
        print(sentence, f"({time.process_time() - start:.0f} s)", flush=True)
    known: dict[str, tuple[Genotype, float]] = {}

    def macs(genotype: Genotype) -> Mapping[str, float]:
        if genotype.key not in known:
            known[genotype.key] = genotype, _macs(genotype, _network(genotype, context), context)
        return {"macs": known[genotype.key][1]}

    def make(seed: int) -> Any:
        return installed().create("sampler", options.sampler, {}, given={"seed": seed})

    answers = context.start.answers if isinstance(context.start, StartingWeights) else None
    ground = Ground(arm.axes, lambda trial: _drawn(context, trial), macs, start=answers)
    context.weights.parent.mkdir(parents=True, exist_ok=True)
    journal = context.weights.parent / f"{arm.name.replace(' ', '-')}.journal"
    proposer = Proposer(journal, ground, make, seed=options.seed)
    for name, point in context.space.published().items():
        proposer.suggest_first(point.choices, name)
    for _ in range(most):
        if (proposal := proposer.propose()) is None:
            return
        genotype = proposal.genotype
        estimate = estimator.estimate(_network(genotype, context), genotype, context)
        values = {"accuracy": estimate.curve[-1], **macs(genotype)}
        proposer.tell(
            Record(
                proposal.number,
                genotype,
                "feasible",
                values,
                proposal.choices,
                curve=estimate.curve,
                origin=proposal.origin,
            )
        )
        spent_s = time.process_time() - start
        yield Candidate(genotype, **values, spent_s=spent_s)
        if options.our_seconds and spent_s >= options.our_seconds:
            return


def _point(arm: Arm, found: Sequence[Candidate], options: argparse.Namespace) -> dict[str, Any]:
    """The front of what is known, its finalists trained, their hypervolume on test."""
    chosen = pareto.spread([c.values for c in found], arm.axes, options.finalists)
    points, final_s = [], 0.0
    for candidate in (found[index] for index in chosen):
        key = candidate.genotype.key
        if key not in arm.finished:
            arm.finished[key] = _finish(candidate, arm, options)
        accuracy, seconds = arm.finished[key]
        points.append({"accuracy": accuracy, "macs": candidate.macs})
        final_s += seconds
    row = {
        "arm": arm.name,
        "candidates": len(found),
        "cpu_s": (found[-1].spent_s if found else 0.0) + final_s,
        "hypervolume": pareto.hypervolume(points, arm.axes),
        "best": max((point["accuracy"] for point in points), default=0.0),
    }
    print(row, flush=True)
    return {**row, "points": points}


def _finish(candidate: Candidate, arm: Arm, options: argparse.Namespace) -> tuple[float, float]:
    """Test accuracy after the final training, and its CPU seconds."""
    start, context = time.process_time(), arm.context
    genotype, network = candidate.genotype, _network(candidate.genotype, context)
    weights = arm.estimator.initial_weights(genotype, context)
    if weights is not None:  # else what it inherits, as of a candidate that was probed
        load_weights(network, weights, genotype)
    run = TrainRun(epochs=options.final_epochs, seed=options.seed, warm=weights is not None)
    train(network, footing_of(context), context.train, run)
    # Answering the test split is what holds the arms against each other, and no cost of theirs.
    spent_s = time.process_time() - start
    return leading_figure(network, footing_of(context), "test"), spent_s


def _show(plain: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n{'arm':24}{'candidates':>12}{'CPU s':>10}{'hypervolume':>14}{'best on test':>14}")
    for row in (*plain, *ours):
        cells = f"{row['candidates']:12}{row['cpu_s']:10.0f}{row['hypervolume']:14.4f}"
        print(f"{row['arm']:24}{cells}{row['best']:14.3f}")
    for row in ours if plain else ():
        equal = [p["cpu_s"] for p in plain if p["hypervolume"] >= row["hypervolume"]]
        sign, seconds = ("", equal[0]) if equal else ("> ", plain[-1]["cpu_s"])
        print(f"CPU time to equal hypervolume, {row['arm']}: {sign}{seconds / row['cpu_s']:.1f}x")


def _context(options: argparse.Namespace, weights: Path) -> EstimationContext:
    side = IMAGE_SIZE if options.weights else 32
    data = {"root": options.data, "per_class": options.per_class, "image_size": side}
    space, dataset = prepared(options.space, options.weights, data)
    config = TrainConfig(epochs=options.epochs, batch_size=64, crop_padding=4)
    footing = Footing(installed().create("task", "classification", {}), dataset)
    return estimation_context(footing, space, config, weights, seed=options.seed)


def _inheriting(
    context: EstimationContext, options: argparse.Namespace, weights: Path, arm: str
) -> EstimationContext:
    """An arm's own folder, and the start of its networks where it inherits."""
    start, config = None, context.train
    if options.inherit in (arm, "both"):
        start = begun(weights.parent, context.space, context.dataset, options.weights)
    if start is not None:
        config = replace(config, **FINE_TUNED)
    return replace(context, weights=weights, start=start, train=config)


def _built(context: EstimationContext, trial: Any) -> tuple[Genotype, torch.nn.Module]:
    genotype = _drawn(context, trial)
    return genotype, _network(genotype, context)


def _drawn(context: EstimationContext, trial: Any) -> Genotype:
    space = context.space
    return Genotype(space.name, space.preset, space.suggest(trial))


def _network(genotype: Genotype, context: EstimationContext) -> torch.nn.Module:
    facts = context.dataset.facts
    network = build_network(context.space, genotype, facts, seed=context.seed)
    if context.start is not None:
        context.start.give(network)
    return network


def _macs(genotype: Genotype, network: torch.nn.Module, context: EstimationContext) -> float:
    shape = context.dataset.facts.shape
    objective = installed().create("objective", "macs", {})
    return float(objective.measure(Subject(genotype, network.eval(), shape)))


def _axes(context: EstimationContext) -> list[Axis]:
    """From guessing and twice the largest named network's multiply-adds."""
    sizes = []
    for point in context.space.published().values():
        genotype, network = _built(context, FixedTrial(point.choices))
        sizes.append(_macs(genotype, network, context))
    chance = 1 / len(context.dataset.classes)
    return [
        Axis("accuracy", "share", "maximize", chance),
        Axis("macs", "", "minimize", 2 * max(sizes)),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder of images, one folder a class")
    parser.add_argument("--space", default="mobilenetv3")
    parser.add_argument("--weights", help="trained weights: auto, a name or a file")
    parser.add_argument("--inherit", choices=("ours", "plain", "both"), default="both")
    arms = ("shared", "trained", "probe")
    parser.add_argument("--arms", nargs="+", default=arms[:2], choices=arms)
    parser.add_argument("--sampler", default="guided")
    parser.add_argument("--per-class", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--final-epochs", type=int, default=4)
    parser.add_argument("--finalists", type=int, default=5)
    parser.add_argument("--plain-seconds", type=float, default=900.0)
    parser.add_argument("--our-seconds", type=float, help="CPU of each other arm's candidates")
    parser.add_argument("--shared-epochs", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--few-epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the figures")
    options = parser.parse_args()
    options.data = os.path.abspath(options.data)
    if "probe" in options.arms and (not options.weights or options.inherit == "plain"):
        parser.error("--arms probe needs --weights, and --inherit ours or both")
    return options


if __name__ == "__main__":
    main()
