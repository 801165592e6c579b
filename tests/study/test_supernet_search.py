"""A search with shared weights from the command line: killed while they train, then to the end."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import QUICK, command
from safetensors import safe_open

from orchestrator.study import Study, load

_PATIENCE_S = 180.0
_EPOCHS = 3
_QUICK = [
    *(item for item in QUICK if not item.startswith("+search=")),
    "+search=mobilenetv1",
    "estimator=supernet",
    f"estimator.epochs={_EPOCHS}",
    "estimator.paths=4",  # few, so that three epochs teach each of them something
    "estimator.batch_size=16",
    "budget.candidates=4",
    "budget.checked=2",
    "budget.finalists=1",
    "budget.concurrent=1",
    *(f"~compressor.{name}" for name in ("distillation", "pruning", "quantization")),
]


@dataclass
class Story:
    """What was kept when the search was killed, and what each later command did."""

    folder: Path
    kept_epochs: int = 0
    progress: list[tuple[int, int]] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)

    def kill_in_training(self) -> None:
        """Start the search and kill -9 it once an epoch of the shared weights is on disk."""
        partial = self.folder / "weights" / "supernet.partial"
        with _started(*_QUICK, f"run.dir={self.folder}") as process:
            try:
                end = time.monotonic() + _PATIENCE_S
                while not partial.exists():
                    assert process.poll() is None, process.communicate()[0]
                    assert time.monotonic() < end, "the shared weights do not get on"
                    time.sleep(0.02)
                with safe_open(partial, framework="pt") as file:
                    self.kept_epochs = json.loads(file.metadata()["facts"])["epochs"]
            finally:
                process.kill()

    def resume(self) -> None:
        """To the end, watching how far the shared weights are."""
        # What the killed search told last may be of before the epoch that was kept.
        (self.folder / "weights" / ".progress").unlink(missing_ok=True)
        with _started("resume", str(self.folder)) as process:
            while process.poll() is None:
                self._look()
                time.sleep(0.02)
            assert process.stdout is not None
            self.printed.append(process.stdout.read())
            assert process.returncode == 0, self.printed[-1]

    def times(self) -> dict[str, int]:
        """When whatever costs something was written."""
        kinds = ("weights/*.safetensors", "results/*", "checks/*", "models/*/*")
        paths = [path for kind in kinds for path in self.folder.glob(kind)]
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in paths}

    def _look(self) -> None:
        try:
            done, total = (self.folder / "weights" / ".progress").read_text().split()
        except (OSError, ValueError):
            return
        self.progress.append((int(done), int(total)))


def _started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    told = Story(tmp_path_factory.mktemp("runs") / "shared")
    told.kill_in_training()
    told.resume()
    told.before = told.times()
    told.resume()
    yield told


@pytest.fixture(scope="module")
def study(story: Story) -> Study:
    return load(story.folder)


def test_it_was_killed_while_the_shared_weights_trained(story: Story) -> None:
    assert 1 <= story.kept_epochs < _EPOCHS


def test_the_training_goes_on_where_it_stopped(story: Story) -> None:
    least, total = min(story.progress)
    # Beside the training, the check of the shared weights takes a share of the steps.
    assert least > total / _EPOCHS / 1.5
    assert not (story.folder / "weights" / "supernet.partial").exists()


def test_candidates_inherit_and_only_checked_ones_are_trained(story: Story, study: Study) -> None:
    assert "shared weights are sound" in story.printed[0]
    weights = {path.stem for path in story.folder.glob("weights/*.safetensors")}
    trained = {check.record.genotype.plain().key for check in study.checks}
    assert weights == {"supernet", *trained}
    proposed = [r for r in study.records if r.network is None]
    unchecked = [r for r in proposed if r.genotype.plain().key not in trained]
    assert unchecked and all(len(record.curve) == 1 for record in unchecked)


def test_promising_candidates_are_checked_twice(study: Study) -> None:
    assert {check.epochs for check in study.checks} == {1, 3}
    assert 2 <= len(study.agreement.checks) <= 3
    assert all(0 < check.trained <= 1 and 0 < check.estimated <= 1 for check in study.checks)
    assert all(check.macs == check.record.values["macs"] for check in study.checks)  # uncompressed
    assert len(list(study.home.checks.iterdir())) == len(study.checks)


def test_a_finalist_is_shipped_and_verified(study: Study) -> None:
    (finalist,) = study.finalists
    assert finalist.verified
    assert (study.folder / finalist.file).is_file()


def test_report_and_table_tell_of_the_checks(study: Study) -> None:
    assert "Can the estimates be trusted?" in study.home.report.read_text()
    assert "estimated_accuracy" in (study.folder / "candidates.csv").read_text()


def test_a_finished_search_does_no_work_again(story: Story) -> None:
    assert story.times() == story.before
    assert "check" not in story.printed[1]
