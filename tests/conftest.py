"""What tests of several rooms share. Third parties' noise is silenced where it is known."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import QUICK, FinishedRun, command

if TYPE_CHECKING:
    from orchestrator import Dataset

# What plugin authors get is used here too.
pytest_plugins = ["orchestrator.testing.fixtures", "weights_hub", "loopback"]

# Idle threads that spin cost more than the work on a busy machine; set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# As the product has it. Where it cannot report, OpenVINO's telemetry forks this process and ends
# the copy, which takes the Ray that a test has started with it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
# What the user's own searches measured is no business of tests.
os.environ.setdefault("ORCHESTRATOR_LATENCY_CACHE", "off")
# Workers of Ray and command lines find the fakes of `toys`.
_HERE = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [_HERE, *filter(None, [os.environ.get("PYTHONPATH", "")])]
)


@pytest.fixture
def toys() -> Iterator[None]:
    """The fakes of `toys`, offered as an installed plugin would."""
    from offering import offering
    from toys import ToyDevice, ToyPlugin

    with offering(ToyPlugin(), "toys"):
        ToyDevice.calls.clear()
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One search from the command line: a budget rejects some, the rest may be compressed.

    Paid once, by whichever of several test processes comes first; nobody changes what it left.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = shared / "finished.json"
        if not told.is_file():
            told.write_text(json.dumps(_search(shared / "finished")))
        overrides, printed = json.loads(told.read_text())
    return FinishedRun(shared / "finished", overrides, printed)


def _search(folder: Path) -> tuple[list[str], str]:
    """Its overrides and what it printed."""
    overrides = [
        *QUICK,
        "~compressor.distillation",
        "budget.candidates=4",
        "budget.finalists=2",
        "objective.params.max=150000",
        f"run.dir={folder}",
    ]
    done = subprocess.run(command(*overrides), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return overrides, done.stdout


@pytest.fixture(scope="session")
def small_digits() -> Dataset:
    """Handwritten digits of 16×16 pixels."""
    from orchestrator.plugins import installed

    made: Dataset = installed().create("dataset", "digits", {"image_size": 16})
    return made
