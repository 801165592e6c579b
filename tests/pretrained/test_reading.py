from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from orchestrator.errors import WeightsError
from orchestrator.pretrained.reading import read_state


class _Code:
    """What a hostile pickle holds: a call, made when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_in_it_is_refused_by_name_and_not_run(tmp_path: Path, zipped) -> None:
    path, trace = tmp_path / "bad.pth", tmp_path / "it_ran"
    state = {"weight": torch.zeros(2), "more": _Code(trace)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"asks for posix\.system"):
        read_state(path)
    assert not trace.exists()


def test_a_whole_module_is_no_file_of_weights(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_state(tmp_path / "whole.pth")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"half of something")
    with pytest.raises(WeightsError, match=f"{name} is damaged or no file of weights"):
        read_state(tmp_path / name)


def test_weights_are_found_where_people_put_them(tmp_path: Path) -> None:
    state, path = nn.Linear(2, 2).state_dict(), tmp_path / "a.pth"
    for held in (
        state,
        {"model": state, "epoch": 3},
        {"state_dict": {"module.weight": state["weight"]}},
    ):
        torch.save(held, path)
        assert torch.equal(read_state(path)["weight"], state["weight"])
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    assert read_state(tmp_path / "a.safetensors").keys() == state.keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.npz", "ends with"), ("b.pth", "is not there"), ("c.pth", "no tensors")],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.npz").touch()
    torch.save({"epoch": 3}, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / name)


def test_a_training_that_diverged_leaves_no_weights_to_start_from(tmp_path: Path) -> None:
    state = {"first": torch.ones(2), "second": torch.tensor([1.0, torch.nan])}
    torch.save(state, tmp_path / "diverged.pth")
    with pytest.raises(WeightsError, match=r"1 of 2 tensors .* the first of them second"):
        read_state(tmp_path / "diverged.pth")


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("hello", "torch cannot read it")])
def test_what_torch_did_not_write_is_said_plainly(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "text.pth").write_text(text)
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "text.pth")
