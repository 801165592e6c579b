"""What a search of ten or a hundred thousand candidates costs its driver, its disk and its reader.

    python benchmarks/large_search.py [--candidates 100000] [--samplers guided tpe nsga2]

A table answers at once. The search runs with `random`, whose proposals cost nothing, so that what
is left is a step's own work; then the same journal is opened by each sampler, as on a resume,
and asked for a few candidates. Printed are milliseconds of CPU a step by tenths of the search,
memory of the driver, bytes of the journal, and seconds of each thing that reads all of it: opening,
the tables, the findings, the report. About ten minutes of one core for a hundred thousand.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from driver_steps import AXES, draw, made, outcome, step

from orchestrator import Ground, WorkingFolder
from orchestrator.analysis.health import Health
from orchestrator.analysis.ledger import Ledger
from orchestrator.analysis.more_budget import gain_of_doubling, rise
from orchestrator.plugins import installed
from orchestrator.report import ReportData, build_report
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.study.run_folder import RunFolder

_PROPOSALS = 10
_TENTHS = 10


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    with WorkingFolder("large") as folder:
        _search(folder, options.candidates)
        journal = folder / "study.journal"
        print(f"journal: {journal.stat().st_size / options.candidates:.0f} bytes a candidate")
        print(f"driver: {_memory_mb():.0f} MB at its most")
        for sampler in options.samplers:
            _resumed(journal, sampler)
        _read(folder)


def _search(folder: Path, candidates: int) -> None:
    """The search itself, a line a tenth."""
    proposer, study, rivals = made(folder, "random")
    for tenth in range(_TENTHS):
        start = time.process_time()
        for _ in range(candidates // _TENTHS):
            step(proposer, study, rivals)
        each = 1000 * (time.process_time() - start) / (candidates // _TENTHS)
        print(
            f"{(tenth + 1) * candidates // _TENTHS:8} candidates: {each:6.2f} ms of CPU a step, "
            f"{_memory_mb():5.0f} MB, front {study.ledger.front_size}",
            flush=True,
        )


def _resumed(journal: Path, sampler: str) -> None:
    """What a resumed search waits for, and what its proposals then cost."""

    def make(seed: int) -> Any:
        return installed().create("sampler", sampler, {}, given={"seed": seed})

    with _timed(f"{sampler}: opening"):
        proposer = Proposer(journal, Ground(AXES, draw), make)
    with _timed(f"{sampler}: first proposal"):
        proposer.tell(outcome(proposer.propose()))
    with _timed(f"{sampler}: each further proposal", _PROPOSALS):
        for _ in range(_PROPOSALS):
            proposer.tell(outcome(proposer.propose()))


def _read(folder: Path) -> None:
    """Whoever looks at it afterwards."""
    with _timed("records read from the journal"):
        records = read_records(folder / "study.journal")
    with _timed("front and hypervolume"):
        ledger = Ledger(AXES, records)
    with _timed("tables"):
        front = [record.number for record in ledger.front]
        RunFolder(folder).write_tables(records, front, ("", {}))
    with _timed("findings"):
        findings = Health.of(records, AXES, {}).standing
    with _timed("what a larger budget would buy"):
        gain = gain_of_doubling(rise(records, AXES))
    data = ReportData(
        "a large search",
        "Simulated.",
        records,
        AXES,
        findings=findings,
        outlook=gain.sentence if gain else "",
    )
    with _timed("report"):
        build_report(folder / "report.html", data)
    for name in ("candidates.csv", "report.html"):
        print(f"{name}: {(folder / name).stat().st_size / 1e6:.1f} MB")


@contextmanager
def _timed(what: str, count: int = 1) -> Iterator[None]:
    start = time.process_time()
    yield
    print(f"{what}: {(time.process_time() - start) / count:.2f} s of CPU", flush=True)


def _memory_mb() -> float:
    """The most that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--samplers", nargs="*", default=["guided", "tpe", "nsga2"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
