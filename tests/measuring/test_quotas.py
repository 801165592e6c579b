"""A container's quota of CPU time, read from made-up folders of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.measuring.agent import machine, usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def process(folder: Path, groups: str, *mounts: str, **files: str) -> str:
    """A process's folder; `mounts` say "ROOT NAME KIND OPTIONS", `files` what lies below them."""
    told = [line.split() for line in mounts]
    lines = [f"31 23 0:28 {r} {folder / at} rw - {kind} none rw,{o}" for r, at, kind, o in told]
    other = "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw"
    (folder / "mountinfo").write_text("\n".join([other, *lines]) + "\n")
    (folder / "cgroup").write_text(groups)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return str(folder)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("200000 100000", 2), ("250000 100000", 3), ("5000 100000", 1), ("max 100000", 8), ("", 8)],
)
def test_a_quota_of_version_two_counts_rounded_up(tmp_path: Path, quota: str, cores: int) -> None:
    found = process(tmp_path, "0::/\n", "/ two cgroup2 rw", **{"two/cpu.max": quota})
    assert usable_cores(found) == cores


def test_the_least_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "two/cpu.max": "700000 100000",
        "two/pod/cpu.max": "300000 100000",
        "two/pod/box/cpu.max": "max 100000",
        "two/other/cpu.max": "100000 100000",
    }
    assert usable_cores(process(tmp_path, "0::/pod/box\n", "/ two cgroup2 rw", **files)) == 3


@pytest.mark.parametrize("group", ["/docker/box", "/docker/box/inner", "/../elsewhere"])
def test_a_quota_of_version_one_counts_where_a_container_sees_its_own_group_as_root(
    tmp_path: Path, group: str
) -> None:
    files = {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}
    mounts = "/docker/box memory cgroup memory", "/docker/box cpu cgroup cpu,cpuacct"
    groups = f"9:name=systemd:/\n4:memory:/x\n3:cpu,cpuacct:{group}\n0::/\n"
    assert usable_cores(process(tmp_path, groups, *mounts, **files)) == 2


def test_version_one_without_a_quota_says_minus_one(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert usable_cores(process(tmp_path, "3:cpu:/\n", "/ cpu cgroup cpu", **files)) == 8


def test_where_nothing_tells_of_groups_the_cores_it_is_bound_to_count(tmp_path: Path) -> None:
    assert usable_cores(str(tmp_path)) == 8


def test_a_machine_tells_a_quota_beside_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = process(tmp_path, "0::/\n", "/ a\\040b cgroup2 rw", **{"a b/cpu.max": "150000 100000"})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(usable_cores, "__defaults__", (found,))
    assert (machine()["cores"], machine()["usable_cores"]) == ("8", "2")
