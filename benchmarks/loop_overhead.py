"""What the search loop costs a candidate, against Ray Tune with OptunaSearch and Ray's bare tasks.

    python benchmarks/loop_overhead.py [--candidates 120] [--rounds 3] [--without-tune]

All evaluate the same no-op with nine choices and two objectives, two at a time, random proposals
(so that no sampler's arithmetic hides the loop), in one Ray instance, in turn. Tune reuses its
actors, without which it starts a process a candidate. Bare tasks have no sampler and remember
nothing: they are the limit. CPU time is that of all processes on the way: the driver and
everything Ray started. Ours also writes its journal to disk, which the others do not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

CHOICES = {f"stage{index}": [8, 16, 24, 32, 48] for index in range(9)}


def evaluate(choices: Mapping[str, int]) -> dict[str, float]:
    """The no-op: two numbers from nine choices."""
    total = float(sum(choices.values()))
    return {"accuracy": total / 500, "macs": total}


def evaluate_ours(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the form that workers of the search loop call."""
    from orchestrator import Genotype, Record

    genotype = Genotype.from_json(payload["genotype"])
    values = evaluate(genotype.architecture)
    return Record(payload["number"], genotype, "feasible", values).to_json()


def ours(candidates: int, folder: Path) -> int:
    from orchestrator.contracts import Axis, Ground
    from orchestrator.records import Genotype
    from orchestrator.search.cluster import Job, Resources
    from orchestrator.search.loop import Callbacks, Limits, search
    from orchestrator.search.proposer import Proposer
    from orchestrator.search.samplers import random as uniform

    def draw(trial: Any) -> Genotype:
        found = {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
        return Genotype("benchmark", "small", found)

    axes = [Axis("accuracy", "share", "maximize", 0.0), Axis("macs", "", "minimize", 500.0)]
    proposer = Proposer(
        folder / "study.journal", Ground(axes, draw), lambda seed: uniform(seed=seed)
    )
    done: list[Any] = []
    search(
        proposer,
        Job("loop_overhead:evaluate_ours", {}),
        Resources(concurrent=2),
        Limits(candidates),
        Callbacks(done.append),
    )
    return len(done)


def tune(candidates: int, folder: Path) -> int:
    from optuna.samplers import RandomSampler
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    class Evaluator(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.choices = config

        def step(self) -> dict[str, Any]:
            return {**evaluate(self.choices), "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.choices = new_config
            return True

    space = {name: tune.choice(values) for name, values in CHOICES.items()}
    searcher = OptunaSearch(
        metric=["accuracy", "macs"], mode=["max", "min"], sampler=RandomSampler(seed=0)
    )
    tuner = tune.Tuner(
        Evaluator,
        param_space=space,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=candidates,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            name="tune",
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # its banners are not the result
        return len(tuner.fit())


def bare(candidates: int, folder: Path) -> int:
    import ray

    task = ray.remote(evaluate)
    draw = random.Random(0)
    running: list[Any] = []
    done = 0
    for _ in range(candidates):
        choices = {name: draw.choice(values) for name, values in CHOICES.items()}
        running.append(task.remote(choices))
        if len(running) == 2:
            (ready,), running = ray.wait(running)
            done += bool(ray.get(ready))
    return done + len(ray.get(running))


def timed(loop: Callable[[int, Path], int], candidates: int) -> tuple[float, float]:
    """(wall, CPU) milliseconds a candidate."""
    with tempfile.TemporaryDirectory() as folder, Processor() as processor:
        wall = time.perf_counter()
        count = loop(candidates, Path(folder))
        wall = time.perf_counter() - wall
    assert count == candidates, f"{loop.__name__} evaluated {count} of {candidates}"
    return 1e3 * wall / candidates, 1e3 * processor.seconds / candidates


class Processor:
    """CPU seconds of this process and all its descendants while open.

    Processes that end in between are looked at ten times a second, as nobody adds up their times:
    up to a tenth of a second of each is missed.
    """

    def __enter__(self) -> Self:
        self._first: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._look()
        self._first = dict(self._last)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()
        self.seconds = sum(
            used - self._first.get(process, 0.0) for process, used in self._last.items()
        )

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self._look()

    def _look(self) -> None:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._last[process.pid, process.create_time()] = times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    alone = "for thousands of candidates, of which Tune would make an hour"
    parser.add_argument("--without-tune", action="store_true", help=alone)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)

    from orchestrator.search.cluster import Cluster, Resources

    loops = {"search loop (journal on disk)": ours, "Tune, actors reused": tune, "bare tasks": bare}
    if arguments.without_tune:
        loops = {name: loop for name, loop in loops.items() if loop is not tune}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    with Cluster(Resources(concurrent=2)):
        # The comparison keeps no loggers and writes its state once: what a careful user sets.
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "100000"
        for _ in range(arguments.rounds):
            for name, loop in loops.items():
                timed(loop, 10)  # workers start, modules load; Tune's actors take the pool's
                rows[name].append(timed(loop, arguments.candidates))
    show(rows, arguments.candidates)


def show(rows: dict[str, list[tuple[float, float]]], candidates: int) -> None:
    median = {
        name: tuple(statistics.median(column) for column in zip(*pairs, strict=True))
        for name, pairs in rows.items()
    }
    first = next(iter(median.values()))
    rounds = len(next(iter(rows.values())))
    print(f"{candidates} no-op candidates, median of {rounds} rounds, in turn")
    print(f"{'':34}{'wall ms':>10}{'CPU ms':>10}   a candidate; ours to it, wall and CPU")
    for name, (wall, processor) in median.items():
        ratio = f"{first[0] / wall:10.2f}{first[1] / processor:8.2f}"
        print(f"{name:34}{wall:10.1f}{processor:10.1f}{ratio}")


if __name__ == "__main__":
    main()
