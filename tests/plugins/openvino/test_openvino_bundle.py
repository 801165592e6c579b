from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("openvino")

from orchestrator_openvino.runtime import OpenVino

from orchestrator import Classes, Genotype, ImageFacts, errors
from orchestrator.bundle import BundleContents, read_facts, verify, write_bundle
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial


def test_both_files_of_openvino_are_shipped_and_verified(tmp_path: Path) -> None:
    facts = ImageFacts(16, 1, tuple("abcde"), (0.5,), (0.25,), "CC-BY-4.0")
    space = installed().create("space", "efficientformer", {"preset": "small"})
    architecture = space.suggest(RandomTrial(3))
    network = space.build(architecture, facts, Classes(5)).eval()
    device = OpenVino()
    files = {"fp32": device.compile(network, torch.zeros(1, 1, 16, 16), tmp_path / "model")}
    genotype = Genotype("efficientformer", "small", architecture, ())
    contents = BundleContents(genotype, network, facts, artifacts=files, recommended="fp32")

    folder = write_bundle(tmp_path / "best", contents)

    assert read_facts(folder)["sha256"].keys() >= {"model.xml", "model.bin"}
    assert verify(folder, device).differences["fp32"] < 1e-4
    (folder / "model.bin").unlink()
    with pytest.raises(errors.RunError, match=r"model\.bin"):
        verify(folder, device)
