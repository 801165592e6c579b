"""Shared weights trained by two processes at once."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.search.cluster import Cluster, Job
from orchestrator.search.together import run_together


def test_two_processes_train_one_store(cluster: Cluster, tmp_path: Path) -> None:
    run_together(
        Job("sharing_spaces:train_digits", {"folder": str(tmp_path)}), 2, cluster.resources
    )
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first[0] == 2
    assert "shared" in first[1]
    assert (tmp_path / "supernet.safetensors").exists()
