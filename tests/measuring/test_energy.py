"""Counters of microjoules, as Linux' powercap has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.measuring.agent import energy_counters, joules


def counter(folder: Path, name: str, microjoules: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


@pytest.mark.parametrize("start", [0, 999_990])
def test_energy_is_told_a_call_though_the_counter_starts_again(tmp_path: Path, start: int) -> None:
    path = counter(tmp_path / "intel-rapl:0", "package-0", start)

    def run() -> None:
        path.write_text(str((int(path.read_text()) + 25) % 1_000_000))

    found = joules(run, [str(path)], seconds=0.001, stretches=3)
    assert found["value"] == pytest.approx(25e-6)


def test_only_whole_packages_that_can_be_read_are_counted(tmp_path: Path) -> None:
    package = counter(tmp_path / "intel-rapl:0", "package-0", 1)
    counter(tmp_path / "intel-rapl:0:0", "core", 1)
    (tmp_path / "intel-rapl:1").mkdir()
    (tmp_path / "intel-rapl:1" / "energy_uj").mkdir()
    assert energy_counters(str(tmp_path)) == [str(package)]
    assert energy_counters(str(tmp_path / "nothing")) == []
