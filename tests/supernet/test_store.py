"""What is shared of what: regions, growth, inheritance, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from networks import fresh
from sharing_spaces import FusedSpace, Staged
from torch import nn

from orchestrator import segments
from orchestrator.errors import RunError, SharingError
from orchestrator.supernet.regions import region_of
from orchestrator.supernet.store import Store, owned_parameters


def built(space, seed: int = 0, **architecture) -> nn.Module:
    torch.manual_seed(seed)
    return fresh(space, architecture, classes=3, in_channels=1, image_size=16)


def test_a_narrow_kernel_is_the_centre_of_the_first_channels():
    full = torch.arange(8 * 4 * 25).reshape(8, 4, 5, 5)
    region = region_of(Staged(), "w", ((8, 4, 5, 5), (6, 2, 3, 3)), kernel=True)
    assert torch.equal(region.read(full), full[:6, :2, 1:4, 1:4])
    assert region.is_view


def test_segments_take_the_first_of_each_part():
    assert segments(8, 4, 2) == (0, 1, 4, 5)
    region = region_of(FusedSpace(), "both.weight", ((16, 4), (8, 4)), kernel=False)
    full = torch.arange(64.0).reshape(16, 4)
    assert torch.equal(region.read(full), full[[0, 1, 2, 3, 8, 9, 10, 11]])
    region.write(full, torch.zeros(8, 4))
    assert full[8:12].eq(0).all()
    assert full[4:8].ne(0).all()


def test_an_answer_that_does_not_fit_names_the_space_and_the_parameter():
    class Wrong(FusedSpace):
        def share(self, name, full, wanted):
            return (slice(0, 3), slice(0, 4))

    with pytest.raises(SharingError, match=r"fused\.share\('both\.weight'.*expected one slice"):
        region_of(Wrong(), "both.weight", ((16, 4), (8, 4)), kernel=False)


def test_two_ranks_under_one_name_are_two_operators():
    with pytest.raises(SharingError, match="two operators share a name"):
        region_of(Staged(), "w", ((8, 4), (8,)), kernel=False)


def test_the_store_grows_around_what_it_holds():
    space = Staged()
    small, large = (built(space, width=w, kernel=k, depths=[1, 1]) for w, k in ((8, 3), (16, 5)))
    store = Store(space)
    store.grow(small)
    before = store.tensors["0.stage0.0.0.weight"].clone()
    assert not store.covers(large)
    store.grow(large)
    grown = store.tensors["0.stage0.0.0.weight"]
    assert store.covers(large)
    assert torch.equal(grown[:8, :, 1:4, 1:4], before)
    assert torch.equal(grown[8:], dict(large.named_parameters())["0.stage0.0.0.weight"][8:])


def test_kernels_say_that_channels_lie_last_also_where_they_are_one_wide(tmp_path: Path):
    pointwise = nn.Sequential(nn.Conv2d(6, 8, 1))
    store = Store(Staged())
    store.grow(pointwise)
    store.save(tmp_path / "store", {}, memory=False)
    again, _ = Store.load(Staged(), tmp_path / "store")
    for kept in (store, again):
        assert kept.tensors["0.weight"].stride() == (6, 1, 6, 6)
        assert kept.tensors["0.weight"][:4].stride() == (6, 1, 6, 6)


def test_what_an_optimiser_remembers_grows_along():
    space, store = FusedSpace(), Store(FusedSpace())
    store.grow(built(space, width=4))
    (both, *_) = owned_parameters(built(space, width=4))
    store.remembered(both, "momentum_buffer", torch.zeros(1)).fill_(1.0)
    store.grow(built(space, width=8))
    memory = store.memory["both.weight"]["momentum_buffer"]
    assert memory.shape == (16, 4)
    assert memory.sum(1).tolist() == [4.0] * 4 + [0.0] * 4 + [4.0] * 4 + [0.0] * 4


def test_a_network_larger_than_the_store_inherits_what_there_is():
    space, store = Staged(), Store(Staged())
    store.grow(built(space, width=8, kernel=3, depths=[1, 1]))
    network = built(space, seed=1, width=12, kernel=3, depths=[2, 1])
    missing = store.inherit(network)
    weights = dict(network.named_parameters())
    shared = store.tensors["0.stage0.0.0.weight"]
    assert torch.equal(weights["0.stage0.0.0.weight"][:8], shared)
    assert "0.stage0.1.0.weight" in missing
    assert "0.stage0.0.0.weight" in missing


def test_a_file_gives_back_weights_memory_and_facts(tmp_path: Path):
    space, store = Staged(), Store(Staged())
    store.grow(built(space, width=8, kernel=3, depths=[1, 1]))
    owned = owned_parameters(built(space, width=8, kernel=3, depths=[1, 1]))[0]
    store.remembered(owned, "momentum_buffer", torch.zeros(1)).normal_()
    store.save(tmp_path / "store", {"epochs": 3}, memory=True)
    again, facts = Store.load(space, tmp_path / "store")
    assert facts == {"epochs": 3}
    assert all(torch.equal(again.tensors[name], store.tensors[name]) for name in store)
    memory = store.memory[owned.name]["momentum_buffer"]
    assert torch.equal(again.memory[owned.name]["momentum_buffer"], memory)


def test_a_damaged_file_says_what_to_do(tmp_path: Path):
    (tmp_path / "store").write_text("no weights")
    with pytest.raises(RunError, match="Delete it, then resume"):
        Store.load(Staged(), tmp_path / "store")


def test_a_store_of_a_newer_form_is_one_error_and_of_the_form_before_is_read(tmp_path: Path):
    tensors = {"weight": torch.zeros(2)}
    for facts in ({"epochs": 3}, {"format": 2, "epochs": 3}):
        notes = {"facts": json.dumps(facts)}
        safetensors.torch.save_file(tensors, tmp_path / f"{len(facts)}", metadata=notes)
    assert Store.load(Staged(), tmp_path / "1")[1] == {"epochs": 3}
    with pytest.raises(RunError, match="has format 2"):
        Store.load(Staged(), tmp_path / "2")
