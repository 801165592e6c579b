"""What a step costs the driver as a search grows: proposal, rivals, front, hypervolume, journal.

    python benchmarks/driver_steps.py [--candidates 10000] [--sampler random] [--folder /dev/shm]

No evaluation and no Ray: a table answers at once, so what is left is the search's own work for a
candidate; `--folder` in memory leaves out the disk, which syncs the journal with each outcome.
Milliseconds of CPU a step, the median of each tenth of the search; beside them what the front
and the hypervolume of all records and every curve in the payload would cost, at that length.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestrator import Axis, Genotype

CHOICES = {f"stage{index}": [8, 16, 24, 32, 48] for index in range(9)}
EPOCHS = 5
AXES = [
    Axis("accuracy", "share", "maximize", 0.0, leads=True),
    Axis("macs", "", "minimize", 433.0),
    Axis("latency_ms", "ms", "minimize", 10.0),
]


def draw(trial: Any) -> Genotype:
    """Nine widths."""
    found = {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
    return Genotype("benchmark", "small", found)


def outcome(proposal: Any) -> Any:
    """A candidate's record from its choices: larger is better, with noise of its own."""
    from orchestrator import Record

    total = float(sum(proposal.choices.values()))
    luck, speed = (int(proposal.genotype.key[i : i + 6], 16) / 16**6 for i in (0, 6))
    level = 0.5 + 0.2 * (total / 432) ** 0.5 + 0.2 * luck
    curve = tuple(level * (1 - 0.5**epoch) for epoch in range(1, EPOCHS + 1))
    values = {"accuracy": curve[-1], "macs": total, "latency_ms": total / 50 + 0.5 * speed}
    return Record(
        proposal.number, proposal.genotype, "feasible", values, dict(proposal.choices), curve=curve
    )


def made(folder: Path, sampler: str) -> tuple[Any, Any, Any]:
    """A proposer, a study and its rivals, as a search has them."""
    from orchestrator.config import TrainConfig
    from orchestrator.contracts import Ground
    from orchestrator.plugins import installed
    from orchestrator.search.proposer import Proposer
    from orchestrator.study.rivals import Rivals
    from orchestrator.study.study import Study

    def make(seed: int) -> Any:
        return installed().create("sampler", sampler, {}, given={"seed": seed})

    study: Any = Study(
        SimpleNamespace(), SimpleNamespace(), SimpleNamespace(axes=AXES), installed()
    )
    proposer = Proposer(folder / "study.journal", Ground(AXES, draw), make)
    return proposer, study, Rivals(AXES[1:], TrainConfig(epochs=EPOCHS))


def step(proposer: Any, study: Any, rivals: Any) -> int:
    """One candidate, as the loop and the live line handle it; the bytes of its rivals."""
    proposal = proposer.propose()
    payload = rivals.told(study.feasible)
    record = outcome(proposal)
    proposer.tell(record)
    study.records.append(record)
    assert study.ledger.paid == len(study.records) and study.ledger.front_size > 0
    assert study.hypervolume >= 0
    return len(payload)


def anew(study: Any) -> float:
    """Milliseconds of a step's figures from all records."""
    from orchestrator.analysis import pareto

    start = time.process_time()
    points = [record.values for record in study.records if record.outcome == "feasible"]
    pareto.front(points, study.axes)
    pareto.hypervolume(points, study.axes)
    json.dumps([[dict(r.values), list(r.curve)] for r in study.records if r.curve])
    return 1e3 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--folder", help="where the journal lies; the system's for temporary files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    part = max(1, arguments.candidates // 10)
    print(f"{'records':>8}{'ms a step':>11}{'rivals':>8}{'front':>7}{'ms anew':>9}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        proposer, study, rivals = made(Path(folder), arguments.sampler)
        medians = []
        for _ in range(10):
            times = []
            for _ in range(part):
                start = time.process_time()
                told = step(proposer, study, rivals)
                times.append(1e3 * (time.process_time() - start))
            medians.append(statistics.median(times))
            print(
                f"{len(study.records):8}{medians[-1]:11.2f}{told:8}{len(study.front):7}"
                f"{anew(study):9.1f}"
            )
    print(f"last tenth against the first: {medians[-1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
