from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from trained_space import HUB, NEAR, SURE, released

from orchestrator.errors import WeightsError
from orchestrator.pretrained.fetching import at_hand, fetch
from orchestrator.pretrained.listing import Listed, listed_by


@pytest.fixture
def listed(space) -> dict[str, Listed]:
    return {entry.tag: entry for entry in listed_by(space)}


def test_a_fetched_file_is_kept_by_its_hash_and_not_fetched_again(listed, hub, cache) -> None:
    assert at_hand(listed["sure"]) is None
    found = fetch(listed["sure"])
    assert found.path == cache / f"{found.sha256}.safetensors"
    assert found.path.read_bytes() == SURE and found.source == f"{HUB}/sure.safetensors"
    assert fetch(listed["sure"]) == found == at_hand(listed["sure"]) and len(hub) == 1


def test_a_pickle_is_converted_once(listed, hub, cache) -> None:
    found = fetch(listed["near"])
    kept = safetensors.torch.load_file(found.path)
    assert torch.equal(kept["fc.weight"], released(8, 1000)["fc.weight"])
    assert fetch(listed["near"]) == found and len(hub) == 1
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".safetensors"]


def test_the_cache_is_the_users_own(listed, hub, cache) -> None:
    fetch(listed["sure"])
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_offline_says_what_to_fetch_where(listed, offline, cache) -> None:
    sized = replace(listed["sure"], checkpoint=replace(listed["sure"].checkpoint, size_bytes=18e6))
    digits = sized.checkpoint.sha256
    with pytest.raises(WeightsError) as found:
        fetch(sized)
    assert str(found.value).startswith(
        f"weights=trained/sure: not in {cache} and {offline} cannot be reached. Fetch "
        f"http://{offline}/toys/trained/resolve/main/sure.safetensors (18 MB, sha256 {digits}) "
        "elsewhere and say weights=PATH, or leave weights=null."
    )


def test_a_file_that_is_not_there_is_told(listed, hub, tmp_path: Path) -> None:
    (tmp_path / "hub/toys/trained/resolve/main/sure.safetensors").unlink()
    with pytest.raises(WeightsError, match="404"):
        fetch(listed["sure"])


def test_another_hash_is_refused_and_nothing_is_kept(listed, hub, cache, tmp_path: Path) -> None:
    file = tmp_path / "hub/toys/trained/resolve/main/sure.safetensors"
    file.write_bytes(SURE[:-4] + b"\0\0\0\0")
    with pytest.raises(WeightsError, match="is not the file that was released"):
        fetch(listed["sure"])
    assert list(cache.iterdir()) == []


def test_a_changed_cache_is_fetched_anew(listed, hub) -> None:
    found = fetch(listed["sure"])
    found.path.write_bytes(SURE[:100])
    assert at_hand(listed["sure"]) is None
    assert fetch(listed["sure"]).path.read_bytes() == SURE


def test_a_file_in_an_installed_package_needs_no_network(
    listed, offline, tmp_path: Path, monkeypatch
) -> None:
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it is not imported')")
    (package / "near.pth").write_bytes(NEAR)
    monkeypatch.syspath_prepend(tmp_path)
    where = ("pkg://some_weights/near.pth", *listed["near"].checkpoint.locations)
    entry = replace(listed["near"], checkpoint=replace(listed["near"].checkpoint, locations=where))
    assert fetch(entry).path == package / "near.pth"
    other = replace(entry.checkpoint, locations=where[:1], sha256="0123456789")
    with pytest.raises(WeightsError, match=re.escape("expected 0123456789")):
        fetch(replace(entry, checkpoint=other))


def test_a_package_that_is_not_there_is_named(listed) -> None:
    only = replace(listed["near"].checkpoint, locations=("pkg://nowhere_weights/near.pth",))
    with pytest.raises(WeightsError, match="no package here holds it"):
        fetch(replace(listed["near"], checkpoint=only))


def test_a_cache_that_cannot_be_written_is_not_taken_for_the_network(
    listed, hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="file/weights cannot be written: Not a directory"):
        fetch(listed["sure"])
    assert len(hub) == 0
