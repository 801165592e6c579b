"""Folders of several files: several runtimes, several networks, what was answered elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from bundles import FACTS, LocalRuntime, compiled, drop, edit, make
from bundles import exported as export

from orchestrator import Artifact, errors
from orchestrator.bundle import (
    BundleContents,
    check_images,
    read_facts,
    rebuild,
    verify,
    write_bundle,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> BundleContents:
    """With an ONNX file and its int8 version."""
    return export(tmp_path_factory.mktemp("exported"))


def test_the_second_format_is_read_and_verified_as_ever(exported, tmp_path):
    """It said no runtime and no network of a file, and named what it recommends by the file."""
    folder = write_bundle(tmp_path / "best", exported)
    today = read_facts(folder)
    second = {
        label: {k: v for k, v in entry.items() if k not in ("runtime", "network")}
        for label, entry in today["artifacts"].items()
    }
    edit(folder, artifacts=second, format=2, recommended="model.int8.onnx")
    drop(folder, "files", "measured_on")
    assert read_facts(folder)["artifacts"] == today["artifacts"]
    assert read_facts(folder)["recommended"] == "int8"
    assert verify(folder, LocalRuntime()).differences.keys() == {"fp32"}


def test_a_second_file_of_one_name_has_a_folder_of_its_own(exported, tmp_path):
    other = tmp_path / "model.onnx"
    other.write_bytes(exported.artifacts["fp32"].path.read_bytes())
    files = {**exported.artifacts, "again": Artifact(other, "onnx", exact=True)}
    folder = write_bundle(tmp_path / "best", replace(exported, artifacts=files))
    assert (folder / "again" / "model.onnx").is_file()
    assert read_facts(folder)["artifacts"]["again"]["file"] == "again/model.onnx"
    assert verify(folder, LocalRuntime()).differences.keys() == {"fp32", "again"}
    (folder / "again" / "model.onnx").write_bytes(b"others!")
    with pytest.raises(errors.RunError, match=r"model\.onnx is not the file that was written"):
        verify(folder)


def test_each_of_several_runtimes_is_asked_its_own_files(exported, tmp_path):
    runtimes = {"fp32": "local", "int8": "elsewhere"}
    folder = write_bundle(tmp_path / "best", replace(exported, runtimes=runtimes))
    local: Any = LocalRuntime()
    found = verify(folder, {"local": local})
    assert found.agreements.keys() == {"fp32"}
    assert found.skipped == ("int8",)


def test_the_network_before_pruning_is_kept_and_rebuilt_by_its_files_label(tmp_path):
    contents, unpruned = make("mobilenetv3", ratio=0.5), make("mobilenetv3", ratio=0.0)
    files = {}
    for label, made in {"fp32": contents, "unpruned": unpruned}.items():
        path = tmp_path / f"{label}.onnx"
        files[label] = compiled(made.network, path)
    both = replace(
        contents,
        artifacts=files,
        earlier={"unpruned": unpruned.network},
        computed={"unpruned": "unpruned"},
    )
    folder = write_bundle(tmp_path / "best", both)
    images = torch.randn(4, 1, 16, 16)
    assert torch.equal(rebuild(folder)(images), contents.network(images))
    assert torch.equal(rebuild(folder, label="unpruned")(images), unpruned.network(images))
    assert verify(folder, LocalRuntime()).differences.keys() == {"fp32", "unpruned"}
    with pytest.raises(errors.RunError, match="has no file 'unprund'; did you mean 'unpruned'"):
        rebuild(folder, label="unprund")


def test_a_file_answers_elsewhere_as_where_it_was_shipped(exported, tmp_path):
    images = FACTS.normalise(check_images(FACTS)).numpy()
    runtime = LocalRuntime()
    answers = {
        label: torch.from_numpy(runtime.predict(file, images))
        for label, file in exported.artifacts.items()
    }
    folder = write_bundle(tmp_path / "best", replace(exported, answers=answers))
    assert max(verify(folder, runtime).drifts.values()) < 1e-5
    answers["int8"] = answers["int8"] * 1.5
    folder = write_bundle(tmp_path / "other", replace(exported, answers=answers))
    with pytest.raises(errors.ParityError, match=r"int8\.onnx answers otherwise than where it was"):
        verify(folder, runtime)
