from __future__ import annotations

from pathlib import Path

from orchestrator import Artifact


def test_an_artifact_is_as_large_as_all_its_files(tmp_path: Path) -> None:
    graph, weights = tmp_path / "model.xml", tmp_path / "model.bin"
    graph.write_bytes(b"graph")
    weights.write_bytes(b"weights")
    artifact = Artifact(graph, "xml", beside=(weights,))
    assert artifact.files == (graph, weights)
    assert artifact.size_bytes == 12
    assert (artifact.label, artifact.exact) == ("", False)
