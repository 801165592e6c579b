"""A file that a plugin did not write, or wrote wrongly, costs its candidate and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from orchestrator_onnxruntime.runtime import OnnxRuntime

from orchestrator.contracts import Artifact
from orchestrator.errors import CompileError

SPOILT: dict[str, Callable[[Artifact], Artifact]] = {
    "not written": lambda made: replace(made, path=made.path.with_name("bad.onnx")),
    "a folder": lambda made: replace(made, path=made.path.parent),
    "of another format": lambda made: replace(made, format="words"),
    "one beside it is missing": lambda made: replace(made, beside=(Path("/nowhere/data.bin"),)),
}


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).eval()
    return OnnxRuntime().compile(network, torch.zeros(1, 1, 4, 4), tmp_path / "model")


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("question", ["predict", "latencies"])
def test_the_candidate_is_to_blame_and_not_the_device(
    made: Artifact, tmp_path: Path, kind: str, question: str
) -> None:
    device, spoilt = OnnxRuntime(), SPOILT[kind](made)
    images = torch.zeros(2, 1, 4, 4).numpy()
    with pytest.raises(CompileError):
        if question == "predict":
            device.predict(spoilt, images)
        else:
            device.latencies([spoilt], 1.0, tmp_path)
    device.close()


@pytest.mark.parametrize("content", [b"", b"not a network", bytes(5000)])
def test_a_file_of_rubbish_is_refused_as_a_file(
    made: Artifact, tmp_path: Path, content: bytes
) -> None:
    made.path.write_bytes(content)
    device = OnnxRuntime()
    for asked in (lambda: device.session(made), lambda: device.latencies([made], 1.0, tmp_path)):
        with pytest.raises(CompileError):
            asked()
    device.close()
