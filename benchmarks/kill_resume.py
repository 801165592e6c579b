"""Kills a search again and again, and sees what that costs: lost, twice, fronts, a resume's time.

    python benchmarks/kill_resume.py [--kills 100] [--folder /dev/shm] [--resume 100 10000]

A real search on no-op candidates, two at a time: Ray, the loop, the journal and the workers'
results are those of any other. It is killed with -9 so many times, each time a few candidates after
it began or went on, and then runs to its end: every fifth time with its own Ray, now the driver
and now the whole group of its processes; else the driver alone, in a cluster that it joined, which
lives on. An evaluation leaves a line in a ledger that no part of the search reads, to compare with:

lost    points of the list, or evaluations, that have no record in the end
twice   candidates with two finished evaluations, and records of one genotype under two numbers
fronts  of the killed search, and of one that was left alone

Its candidates come from a list, so both searches have the same ones. Then what a resume costs
until its first evaluation, in CPU seconds of all processes on the way, by candidates known.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHOICES = {f"stage{index}": [8, 16, 24, 32, 48] for index in range(9)}
# Between two kills; the last stretch is longer, as nothing ends it.
STRETCH = range(1, 12)
PATIENCE_SECONDS = 300.0
# Every so often with a Ray of its own, which takes seconds to start.
OWN = 5


def evaluate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The no-op: its record lies on disk before it returns, and then its line in the ledger."""
    from orchestrator import Genotype, Record
    from orchestrator.files import write_json

    genotype, folder = Genotype.from_json(payload["genotype"]), Path(payload["folder"])
    values = figures(genotype.architecture)
    record = Record(
        payload["number"],
        genotype,
        "feasible",
        values,
        payload["choices"],
        origin=payload["origin"],
        finished_at=time.time(),
    ).to_json()
    time.sleep(payload["seconds"])
    write_json(folder / "results" / f"{payload['number']:04d}.json", record)
    line = json.dumps([payload["number"], genotype.key, os.getpid()]) + "\n"
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(ledger, line.encode())
    os.close(ledger)
    return record


def figures(choices: Mapping[str, int]) -> dict[str, float]:
    """Two that are at odds, with luck of its own for each point."""
    total = float(sum(choices.values()))
    luck = (sum((index + 3) * value**2 for index, value in enumerate(choices.values())) % 97) / 97
    return {"accuracy": 0.5 + 0.4 * (total / 432) ** 0.5 + 0.1 * luck, "macs": total}


def points(count: int) -> list[dict[str, int]]:
    """So many different ones."""
    draw = random.Random(0)
    found: dict[tuple[int, ...], dict[str, int]] = {}
    while len(found) < count:
        choices = {name: draw.choice(values) for name, values in CHOICES.items()}
        found.setdefault(tuple(choices.values()), choices)
    return list(found.values())


def axes() -> list[Any]:
    from orchestrator import Axis

    return [Axis("accuracy", "share", "maximize", 0.0), Axis("macs", "", "minimize", 433.0)]


def made(folder: Path, named: Sequence[Mapping[str, int]]) -> Any:
    """The proposer of a folder, as a search makes it when it begins or goes on."""
    from orchestrator.contracts import Ground
    from orchestrator.records import Genotype
    from orchestrator.search.proposer import Proposer

    def draw(trial: Any) -> Genotype:
        found = {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
        return Genotype("benchmark", "small", found)

    ground = Ground(axes(), draw)
    asked = Proposer(folder / "study.journal", ground, lambda seed: in_order(named))
    asked.recover(folder / "results")
    return asked


def in_order(named: Sequence[Mapping[str, int]]) -> Any:
    """A sampler that proposes these one after another."""
    from orchestrator import History, Sampler, SamplerContext

    class InOrder(Sampler):
        name = "in order"

        def propose(self, history: History, context: SamplerContext) -> Mapping[str, int] | None:
            issued = len(history.records) + len(history.pending)
            return named[issued] if issued < len(named) else None

    return InOrder()


def go_on(folder: Path, named: Sequence[Mapping[str, int]], more: Search) -> None:
    """A search from its beginning or from where it was killed, to its end."""
    from orchestrator.search.cluster import Cluster, Job, Resources
    from orchestrator.search.journal import exclusive
    from orchestrator.search.loop import Callbacks, Limits, search

    common = {"folder": str(folder), "seconds": more.seconds}
    resources = Resources(concurrent=2, address=more.address)
    with exclusive(folder), Cluster(resources) as cluster:
        proposer = made(folder, named)
        job = Job("kill_resume:evaluate", common)
        limits = Limits(more.candidates)
        search(proposer, job, cluster.resources, limits, Callbacks(lambda record: None))


@dataclass(frozen=True)
class Search:
    """How many candidates, how long each sleeps, and the cluster that it joins, if any."""

    candidates: int
    seconds: float = 0.0
    address: str | None = None


def forked(work: Callable[[], None]) -> int:
    """A process group of its own that does it; what was imported here need not be again."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        work()
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(child: int) -> int | None:
    """The status of a child; None while it runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def told(folder: Path) -> int:
    """Candidates in the ledger."""
    try:
        return len((folder / "ledger").read_text().splitlines())
    except FileNotFoundError:
        return 0


def killed(folder: Path, more: int, *, group: bool, work: Callable[[], None]) -> bool:
    """Run it until so many candidates more are evaluated, then kill it; whether it got there."""
    before, child, end = told(folder), forked(work), time.monotonic() + PATIENCE_SECONDS
    while told(folder) < before + more:
        if (status := ended(child)) is not None:
            assert status == 0, f"the search ended with {status}"
            return False
        assert time.monotonic() < end, "the search does not get on"
        time.sleep(0.002)
    # The group has the driver and Ray's own processes, whose workers are groups of their own.
    (os.killpg if group else os.kill)(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def kill_often(folder: Path, kills: int) -> None:
    """The whole story, and what it says."""
    draw, search = random.Random(1), Search(kills * (sum(STRETCH) // len(STRETCH) + 2), 0.01)
    named, joined = points(search.candidates), replace(search, address=cluster(folder))
    done, start = 0, time.monotonic()
    for number in range(kills):
        now = joined if number % OWN else search
        work = partial(go_on, folder, named, now)
        done += killed(folder, draw.choice(STRETCH), group=number % (2 * OWN) == OWN, work=work)
        if number % 10 == 9:
            print(f"{number + 1} kills, {told(folder)} evaluated", flush=True)
    child = forked(lambda: go_on(folder, named, search))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    seconds = time.monotonic() - start
    show_story(folder, search, f"{done} kills in {seconds:.0f} s")


def cluster(folder: Path) -> str:
    """The address of a cluster of one node, in a process that is not killed."""

    def hold() -> None:
        from two_nodes import started

        with tempfile.TemporaryDirectory(dir="/tmp", prefix="k") as own:
            nodes = started(Path(own))
            (folder / "address").write_text(nodes.address)
            while os.getppid() != 1:
                time.sleep(0.5)
            nodes.shutdown()

    forked(hold)
    while not (folder / "address").is_file() or not (folder / "address").read_text():
        time.sleep(0.1)
    return (folder / "address").read_text()


def show_story(folder: Path, search: Search, did: str) -> None:
    from orchestrator.search.proposer import read_records

    records = read_records(folder / "study.journal")
    lines = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    evaluated = Counter(key for _, key, _ in lines)
    known = Counter(record.genotype.key for record in records)
    wanted = {tuple(choices.values()) for choices in points(search.candidates)}
    missing = wanted - {tuple(r.genotype.architecture[name] for name in CHOICES) for r in records}
    lost = len(set(evaluated) - set(known)) + len(missing)
    twice = sum(count > 1 for count in evaluated.values()) + sum(n > 1 for n in known.values())
    alone = front([figures(choices) for choices in points(search.candidates)])
    same = front([record.values for record in records]) == alone
    print(f"{did}, {len(records)} candidates of {search.candidates}, {len(lines)} evaluations")
    print(f"lost {lost}, twice {twice}, fronts equal {same}", flush=True)


def front(values: Sequence[Mapping[str, float]]) -> set[tuple[float, float]]:
    from orchestrator.analysis import pareto

    return {(values[i]["accuracy"], values[i]["macs"]) for i in pareto.front(values, axes())}


def filled(folder: Path, count: int) -> None:
    """A journal with so many candidates, one of which was running when all ended."""
    from orchestrator import Record

    asked = made(folder, points(count + 1))
    for _ in range(count):
        proposal = asked.propose()
        record = Record(
            proposal.number,
            proposal.genotype,
            "feasible",
            figures(proposal.genotype.architecture),
            dict(proposal.choices),
        )
        asked.tell(record)
    asked.propose()


def read(folder: Path) -> None:
    made(folder, [])


def time_resume(folder: Path, count: int) -> None:
    """What it takes from the start of the process to the first evaluation, and to read alone."""
    from loop_overhead import Processor

    child = forked(lambda: filled(folder, count))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with Processor() as reading:
        child = forked(lambda: read(folder))
        os.waitpid(child, 0)
    start = time.monotonic()
    with Processor() as processor:
        command = [sys.executable, __file__, "--go-on", str(folder), str(count + 1)]
        child = forked(lambda: os.execv(sys.executable, command))
        while not told(folder):
            assert ended(child) is None, "it ended without an evaluation"
            time.sleep(0.005)
        wall = time.monotonic() - start
    os.waitpid(child, 0)
    print(
        f"{count:6} candidates: first evaluation after {processor.seconds:.1f} CPU s "
        f"({wall:.1f} s), of which reading what is known {reading.seconds:.2f} CPU s",
        flush=True,
    )


def prepare() -> None:
    """The environment of all that is started; before Ray is imported, which reads it once."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")])
    )
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listen on 127.0.0.1 alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--resume", type=int, nargs="*", default=[100, 10_000])
    parser.add_argument("--folder", help="where it all lies; the system's for temporary files")
    parser.add_argument("--go-on", nargs=2, metavar=("FOLDER", "CANDIDATES"), help="as a child")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    prepare()
    if arguments.go_on:
        folder, candidates = arguments.go_on
        go_on(Path(folder), [], Search(int(candidates)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as kept:
        for count in arguments.resume:
            folder = Path(kept) / f"resume-{count}"
            folder.mkdir()
            time_resume(folder, count)
        if arguments.kills:
            import orchestrator.search.loop  # noqa: F401 (once, for all that are forked)

            folder = Path(kept) / "killed"
            folder.mkdir()
            kill_often(folder, arguments.kills)


if __name__ == "__main__":
    main()
