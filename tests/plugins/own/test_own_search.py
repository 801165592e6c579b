"""From a file of the user's own to narrower networks of it, by the commands of the README."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import own_networks
import pytest
import torch
from command_line import QUICK, command
from torch.nn import functional

from orchestrator.plugins import installed
from orchestrator.study import load

_SEARCH = [
    *(item for item in QUICK if not item.startswith("+search=")),
    "+search=own",
    "budget.concurrent=1",
    "space.network=their_resnet:narrow_resnet18",
    *(f"~compressor.{name}" for name in ("distillation", "pruning", "quantization")),
]


@dataclass(frozen=True)
class Users:
    """A folder with a user's code and trained weights."""

    folder: Path

    def run(self, *arguments):
        done = subprocess.run(
            command(*arguments), cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def batches(dataset, name):
    samples = dataset.split(name)
    order = np.random.default_rng(0).permutation(len(samples))
    for start in range(0, len(order), 64):
        pixels, targets = samples.read(order[start : start + 64])
        yield torch.from_numpy(dataset.facts.normalise(pixels)), torch.from_numpy(targets)


def trained_by_hand(*, epochs):
    """Their own loop, with nothing of ours but the images; and how good it is on test."""
    dataset = installed().create("dataset", "digits", {"image_size": 16})
    torch.manual_seed(0)
    network = own_networks.narrow_resnet18(10, 1)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(epochs):
        for images, labels in batches(dataset, "train"):
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        right = [network(x).argmax(1) == y for x, y in batches(dataset, "test")]
    return network, float(torch.cat(right).float().mean())


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    shutil.copy(own_networks.__file__, folder / "their_resnet.py")
    torch.save(trained_by_hand(epochs=6)[0].state_dict(), folder / "trained.pth")
    return Users(folder)


def test_the_plan_tells_what_stays_of_a_network_of_ones_own(users):
    told = users.run("plan", *_SEARCH, "space.weights=trained.pth")
    assert "original, width-0.75" in told
    assert "no depthwise layer has a kernel above 3×3" in told


def test_a_network_of_ones_own_comes_back_from_its_file_exported_and_rebuilt(users):
    folder = users.folder / "quick"
    budget = ["budget.candidates=2", "budget.finalists=1", f"run.dir={folder}"]
    told = users.run(*_SEARCH, *budget, "space.weights=trained.pth")
    assert "a file that nobody lists, taken as own/original" in told
    assert "channels sorted by what reads them in 12 of 12 groups" in told
    finalist = next((folder / "models").iterdir())
    facts = json.loads((finalist / "genotype.json").read_text())
    assert facts["genotype"]["architecture"]["network"] == "their_resnet:narrow_resnet18"
    users.run("rebuild", str(finalist))


@pytest.mark.slow  # the README's own command is one without weights
def test_without_weights_the_network_is_trained_first_and_all_start_there(users):
    folder = users.folder / "trained"
    told = users.run(*_SEARCH, "budget.candidates=1", "budget.finalists=1", f"run.dir={folder}")
    assert "the largest named network is trained first" in told
    teacher = json.loads((folder / "teacher" / "genotype.json").read_text())
    assert teacher["genotype"]["architecture"]["depth"]["layer4.1"] == 1
    assert (folder / "weights" / "start.safetensors").is_file()


def test_given_weights_learn_the_images_first_where_that_is_asked_for(users):
    folder = users.folder / "adapted"
    budget = ["budget.candidates=1", "budget.finalists=1", f"run.dir={folder}"]
    told = users.run(*_SEARCH, *budget, "space.weights=trained.pth", "train.adapt=true")
    assert "the weights' own network is trained first" in told
    assert (folder / "weights" / "adapted.safetensors").is_file()
    finalist = next((folder / "models").iterdir())
    start = json.loads((finalist / "genotype.json").read_text())["start"]
    assert start["source"].endswith("trained.pth")
    assert start["part"].endswith("then trained on these images")


@pytest.mark.slow
def test_a_trained_resnet_18_comes_back_at_half_the_macs_and_within_a_point(users):
    folder = users.folder / "half"
    search = [item for item in _SEARCH if not item.startswith("train.")]
    users.run(
        *search,
        "space.weights=trained.pth",
        "train.epochs=2",
        "train.final_epochs=12",
        "budget.candidates=8",
        "budget.finalists=3",
        "objective.macs.max=492000",  # of 985,088
        f"run.dir={folder}",
    )
    finalists = load(folder).finalists
    best = max(finalists, key=lambda each: each.figures["test_accuracy"])
    assert best.figures["macs"] <= 492_000
    _, whole = trained_by_hand(epochs=6 + 2 + 12)  # as long as a finalist and its weights
    assert best.figures["test_accuracy"] >= whole - 0.01
    for each in finalists:
        users.run("rebuild", str(folder / "models" / each.id))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["narrow_resnet18", "narrow_mobilenetv2", "narrow_vit"])
def test_every_compressor_works_on_networks_of_ones_own(users, network):
    folder = users.folder / network
    search = [item for item in _SEARCH if not item.startswith(("~compressor", "space.network"))]
    budget = ["budget.candidates=8", "budget.finalists=2", f"run.dir={folder}"]
    users.run(*search, *budget, f"space.network=their_resnet:{network}")
    found = load(folder)
    first = min(found.records, key=lambda record: record.number)
    assert found.plan.seeds[0].name == "original"
    assert first.choices.items() <= found.plan.seeds[0].choices.items()
    steps = {step.name for record in found.records for step in record.genotype.compression}
    assert steps == {"distillation", "pruning", "quantization"}
    for each in found.finalists:
        users.run("rebuild", str(folder / "models" / each.id))
