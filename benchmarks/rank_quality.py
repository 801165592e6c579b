"""How well cheap estimates rank architectures: Kendall's tau against training each on its own.

    python benchmarks/rank_quality.py [--families A B] [--architectures 25] [--epochs 6]
        [--data FOLDER --per-class 500] [--shared-epochs 30] [--out runs/rank_quality.json]
        [--weights auto | NAME | PATH]

The truth is the accuracy on test images after `--epochs` of an architecture's own training. Held
against it, for the same random architectures of a family:

  inherited          validation accuracy with shared weights, trained for `--shared-epochs` with
                     architectures other than these (`estimator=supernet`)
  naswot, synflow, zen, zico, params, macs    known of the untrained network
  half of training   validation accuracy at half of the own training's epochs
  validation         the same at its end: with these images no estimate can be expected to do better

With `--weights` families are those of full size at 64 px, and architectures are relatives of the
trained network, parts of it that a search begins with (`--drawn random`: of the whole space). Their
own training starts from what they inherit, by the recipe of `train=finetune` but for its colour
jitter, and so do the shared weights; beside the above stand then

  one epoch          validation accuracy after one epoch from inherited weights
  probe              the last layer solved on inherited features (`estimator=probe`)
  from scratch       validation accuracy after as many epochs as the truth has, without weights

The second tau is that at given multiply-adds: what an estimate knows beyond size, which a search
for small networks needs. Seconds are CPU seconds a candidate; those of `inherited` are without the
training of the shared weights, which is told apart.

FOLDER holds images, one folder a class (or train/ and test/ of such); without it the digits that
come with scikit-learn are used, which nearly every network learns, so that ranks mean less.
`--processes` work at once, one thread each. What is done is kept in `--out` and the folder beside
it, so that the same command goes on where an earlier one ended.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from ranked_figures import STATIC, Job, Setting
from trained_start import begun

from orchestrator import (
    Choices,
    Genotype,
    Ground,
    Relatives,
    SamplerContext,
    Subject,
    Trial,
    usable_cores,
)
from orchestrator.analysis.ranking import kendall, kendall_at
from orchestrator.plugins import installed
from orchestrator.training.building import build_network
from orchestrator.trials import PartlyKnownTrial, RandomTrial

FAMILIES = ("mobilenetv3", "shufflenetv2", "efficientformer")
# Far from the seeds of the architectures that shared weights are trained with.
FIRST_SEED = 7_000_000_000
DRAWS = 20


def main() -> None:
    options = _options()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    setting = Setting(
        data=options.data,
        per_class=options.per_class,
        epochs=options.epochs,
        shared_epochs=options.shared_epochs,
        seed=options.seed,
        weights=options.weights,
    )
    kept = Kept(Path(options.out), setting)
    drawn = {family: _drawn(family, options, setting, kept) for family in options.families}
    _work(_jobs(drawn, setting, kept), kept, options.processes)
    for family, genotypes in drawn.items():
        _show(family, genotypes, kept)


class Kept:
    """The figures so far, in a file that is written anew with each result."""

    def __init__(self, path: Path, setting: Setting) -> None:
        self.path = path
        self.folder = path.with_suffix(".weights")
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = setting.facts()
        self.content: dict[str, Any] = {"setting": facts, "figures": {}, "shared": {}}
        if path.exists():
            self.content = json.loads(path.read_text())
        if self.content["setting"] != facts:
            raise SystemExit(
                f"{path} holds figures for {self.content['setting']}, expected {facts}. "
                "Give another --out, or delete it and the folder beside it."
            )

    def figures(self, genotype: Genotype) -> dict[str, float | None]:
        """Name → value of all that is known of an architecture."""
        own: dict[str, float | None] = self.content["figures"].setdefault(genotype.key, {})
        return own

    def add(self, kind: str, found: Mapping[str, Any]) -> None:
        """Results of a job, by key of the architecture or, of shared weights, by family."""
        if kind == "shared":
            self.content["shared"].update(found)
        else:
            for key, figures in found.items():
                self.content["figures"].setdefault(key, {}).update(figures)
        fresh = self.path.with_suffix(".fresh")
        fresh.write_text(json.dumps(self.content, indent=1))
        fresh.replace(self.path)


def _jobs(drawn: Mapping[str, list[Genotype]], setting: Setting, kept: Kept) -> list[Job]:
    """What is not known yet, the longest first."""
    untrained = [family for family in drawn if family not in kept.content["shared"]]
    jobs = [Job("shared", family, (), setting, kept.folder) for family in untrained]
    kinds = [("own", "truth"), ("static", "macs"), ("inherited", "inherited")]
    if setting.weights:
        kinds += [("epoch", "one epoch"), ("probe", "probe"), ("scratch", "from scratch")]
    for kind, figure in kinds:
        for family, genotypes in drawn.items():
            missing = tuple(g for g in genotypes if figure not in kept.figures(g))
            alone = kind in ("own", "epoch", "scratch")
            batches = [(g,) for g in missing] if alone else [missing] if missing else []
            jobs += [Job(kind, family, batch, setting, kept.folder) for batch in batches]
    return jobs


def _work(jobs: Sequence[Job], kept: Kept, processes: int) -> None:
    """Run the jobs and keep what they find; judging waits for the family's shared weights."""
    context = multiprocessing.get_context("spawn")
    waiting = [job for job in jobs if job.kind == "inherited"]
    start, done = time.monotonic(), 0
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running: dict[Future[dict[str, Any]], Job] = {}

        def submit(job: Job) -> None:
            running[pool.submit(job.run)] = job

        for job in jobs:
            if job.kind != "inherited" or job.family in kept.content["shared"]:
                submit(job)
        try:
            while running:
                future = next(as_completed(running))
                job = running.pop(future)
                kept.add(job.kind, future.result())
                done += 1
                _tell(job, done, len(jobs), time.monotonic() - start)
                if job.kind == "shared":
                    for ready in (w for w in waiting if w.family == job.family):
                        submit(ready)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _tell(job: Job, done: int, jobs: int, seconds: float) -> None:
    print(f"[{done:3}/{jobs}] {seconds:6.0f} s  {job.family}: {job.kind}", flush=True)


def _drawn(
    family: str, options: argparse.Namespace, setting: Setting, kept: Kept
) -> list[Genotype]:
    """Architectures of a family, all different; fewer where a small space has no more.

    On whole images where they inherit, as smaller ones would leave nothing at stride 32.
    """
    space, found = setting.of(family)[0], dict[str, Genotype]()
    count = DRAWS * options.architectures
    answers: Iterable[Choices] = ({} for _ in range(count))
    if options.drawn == "relatives":
        answers = _relatives(family, count, setting, kept)
    whole = {"resolution": 1.0} if setting.weights else {}
    for number, known in enumerate({**each, **whole} for each in answers):
        if len(found) == options.architectures:
            break
        seed = FIRST_SEED + setting.seed + number
        architecture = space.suggest(PartlyKnownTrial(known, seed) if known else RandomTrial(seed))
        genotype = Genotype(space.name, space.preset, architecture)
        found[genotype.key] = genotype
    return list(found.values())


def _relatives(family: str, count: int, setting: Setting, kept: Kept) -> Iterator[Choices]:
    """Answers that a search with these weights may begin with, near ones and far ones mixed."""
    space, dataset = setting.of(family)
    start = begun(kept.folder / family, space, dataset, setting.weights)
    answers, counter = start.answers if start else None, installed().create("objective", "macs", {})

    def draw(trial: Trial) -> Genotype:
        return Genotype(space.name, space.preset, space.suggest(trial))

    def static(genotype: Genotype) -> Mapping[str, float]:
        network = build_network(space, genotype, dataset.facts, seed=0).eval()
        return {"macs": counter.measure(Subject(genotype, network, dataset.facts.shape))}

    context = SamplerContext(Ground([], draw, static, start=answers), setting.seed)
    rng = random.Random(setting.seed)
    found = Relatives(context).some(count, rng)
    yield from rng.sample(found, len(found))


def _show(family: str, genotypes: Sequence[Genotype], kept: Kept) -> None:
    rows = [kept.figures(genotype) for genotype in genotypes]
    rows = [row for row in rows if row.get("truth") is not None]
    truth, macs = _column(rows, "truth"), _column(rows, "macs")
    error = _standard_error(len(rows))
    span = f"{min(truth, default=math.nan):.1%} to {max(truth, default=math.nan):.1%} on test"
    print(f"\n{family}: {len(rows)} architectures, {span}; standard error of a tau {error:.2f}")
    print(f"{'':18}{'tau':>8}{'at MACs':>9}{'CPU s':>9}")
    trained = ("one epoch", "probe", "from scratch")
    for name in ("inherited", *trained, *STATIC, "half of training", "validation"):
        if name in trained and not any(name in row for row in rows):
            continue
        values = _column(rows, name)
        at = None if name == "macs" else kendall_at(values, truth, macs)
        seconds = np.nanmedian(_column(rows, f"{name} s")) if rows else math.nan
        print(f"{name:18}{_cell(kendall(values, truth)):>8}{_cell(at):>9}{seconds:9.2f}")
    shared = kept.content["shared"][family]
    print(f"shared weights took {shared['seconds']:.0f} CPU s: {shared['sentence']}")


def _column(rows: Sequence[Mapping[str, float | None]], name: str) -> list[float]:
    values = [row.get(name) for row in rows]
    return [math.nan if value is None else value for value in values]


def _cell(tau: float | None) -> str:
    return "-" if tau is None else f"{tau:+.2f}"


def _standard_error(count: int) -> float:
    """Of a tau between unrelated figures of `count` things (Kendall 1938)."""
    if count < 2:
        return math.nan
    return math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--architectures", type=int, default=25, help="of each family")
    parser.add_argument("--epochs", type=int, default=6, help="of an architecture's own training")
    parser.add_argument("--data", help="a folder of images, one folder a class; else digits")
    parser.add_argument("--per-class", type=int, default=500, help="training images of a class")
    parser.add_argument("--shared-epochs", type=int, help="by default 30, with --weights 4")
    parser.add_argument("--weights", help="auto, a name or a file; needs --data")
    parser.add_argument("--drawn", choices=["relatives", "random"], help="see above")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=usable_cores())
    parser.add_argument("--out", default="runs/rank_quality.json", help="what is done so far")
    options = parser.parse_args()
    options.data = options.data and os.path.abspath(options.data)
    options.shared_epochs = options.shared_epochs or (4 if options.weights else 30)
    options.drawn = options.drawn or ("relatives" if options.weights else "random")
    if options.drawn == "relatives" and not options.weights:
        parser.error("--drawn relatives needs --weights, whose network they are relatives of")
    if options.weights and not options.data:
        parser.error("--weights needs --data, as digits are no photographs")
    return options


if __name__ == "__main__":
    main()
