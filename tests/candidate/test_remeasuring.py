"""Untrained networks in a candidate's form stand in for it, all in one session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype

from orchestrator.candidate.remeasuring import foreseen, remeasured
from orchestrator.contracts import NetworkCompressor
from orchestrator.errors import CompileError
from orchestrator.records import Latency, Step

pytestmark = pytest.mark.usefixtures("toys")


class Sessions:
    """Says of each file how many bytes it has; `broken` is the number of a file that fails."""

    def __init__(self, broken: str = "") -> None:
        self.broken, self.files = broken, list[list[str]]()

    def __call__(self, artifacts: Any, seats: Any) -> list[Latency]:
        names = [artifact.path.parent.name for artifact in artifacts]
        self.files.append(names)
        if self.broken in names:
            raise CompileError("it does not load")
        return [Latency(*[float(a.size_bytes)] * 5, runs=60) for a in artifacts]


def test_all_are_made_and_measured_in_one_session(tmp_path: Path) -> None:
    measure: Any = Sessions()
    asked = {3: genotype(2), 7: genotype(4)}
    found = remeasured(asked, ["toy_device"], factory(tmp_path), measure)
    assert measure.files == [["3", "7"]]
    assert found[7]["toy_device"].ms > found[3]["toy_device"].ms


def test_one_that_does_not_run_any_more_keeps_none_from_being_measured(tmp_path: Path) -> None:
    measure: Any = Sessions(broken="3")
    asked = {3: genotype(2), 7: genotype(4)}
    found = remeasured(asked, ["toy_device"], factory(tmp_path), measure)
    assert found.keys() == {7} and measure.files[-1] == ["7"]


def test_a_form_that_weights_decide_is_not_foreseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory(tmp_path, compressor={"pruning": {"name": "pruning", "max_drop": 0.1}})
    kept = made.assembly.compression.compressors["pruning"]
    assert isinstance(kept, NetworkCompressor)
    found = genotype(4, (Step("pruning", {"max_drop": 0.1}),))
    assert not foreseen(found, made) and foreseen(genotype(4), made)
