"""Whether what a search recommends is what its folder has best, and takes what the search said.

    python benchmarks/shipped_files.py [RUN …]

RUN are folders of finished searches; without one, the default search on the digits is run first.
Of each recommended file is looked for another of its folder, for the same devices, that is surely
faster there (by more than what both latencies are known to) while the recommended one is better in
nothing that was searched for, by what files are chosen by. There is to be none, and the exit status
is 1 where there is.

A file that was a candidate was measured in the search too, after a shorter training: the same graph
with other weights. Its two latencies are to differ by less than their intervals; how many do, and
what the final one is of the one in the search, is printed. Sessions of different minutes differ by
what the machine does meanwhile, which neither interval knows of.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.analysis.display import timed
from orchestrator.contracts import Axis
from orchestrator.records import Latency, ShippedFile
from orchestrator.study import Study, load

_DEFAULT = "+search=efficientformer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    runs = parser.parse_args().runs
    if runs:
        return max(_told(run) for run in runs)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = ["-m", "orchestrator", _DEFAULT, f"run.dir={run}", "tracking=off"]
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        return _told(run)


def _told(run: Path) -> int:
    """Print what was found; 1 where something better was passed over."""
    study = load(run)
    passed = [text for entry in study.finalists for text in _passed_over(entry.files, study.axes)]
    recommended = sum(file.recommended for entry in study.finalists for file in entry.files)
    print(f"{run}: {len(study.finalists)} finalists, {recommended} recommended files")
    print("\n".join(passed) or "no other file of their folders is faster at no loss")
    pairs = list(_pairs(study))
    apart = [text for text, before, after in pairs if not before.overlaps(after)]
    if pairs:
        changes = [after.ms / before.ms for _, before, after in pairs]
        within, median = len(pairs) - len(apart), statistics.median(changes)
        print(
            f"{within} of {len(pairs)} files have a final latency that overlaps the search's; "
            f"final / search {min(changes):.3f} to {max(changes):.3f}, median {median:.3f}"
        )
    print("\n".join(apart), end="\n" if apart else "")
    return 1 if passed else 0


def _passed_over(files: Sequence[ShippedFile], axes: Sequence[Axis]) -> Iterator[str]:
    for file in filter(lambda each: each.recommended, files):
        for other in files:
            if not set(file.latencies) <= set(other.latencies):
                continue
            faster = [d for d in file.latencies if _faster(other.latencies[d], file.latencies[d])]
            if faster and not any(_better(axis, file, other) for axis in axes):
                yield f"{file.file} is recommended, {other.label} is faster on {', '.join(faster)}"


def _faster(one: Latency, other: Latency) -> bool:
    return one.ms < other.ms and not one.overlaps(other)


def _better(axis: Axis, one: ShippedFile, other: ShippedFile) -> bool:
    mine, theirs = (file.decisive.get(axis.name) for file in (one, other))
    return mine is not None and theirs is not None and axis.sign * (mine - theirs) > 0


def _pairs(study: Study) -> Iterator[tuple[str, Latency, Latency]]:
    """What a file took in the search and at the end, on each device, with both in words."""
    records = {record.number: record for record in study.records}
    for entry in study.finalists:
        for file in entry.files:
            known = records[file.number].latencies if file.number in records else {}
            for device in known.keys() & file.latencies.keys():
                before, after = known[device], file.latencies[device]
                if before.source != "table":
                    told = f"{timed(before)} in the search, {timed(after)} at the end"
                    yield f"#{file.number} {file.label} on {device}: {told}", before, after


if __name__ == "__main__":
    sys.exit(main())
