from __future__ import annotations

from pathlib import Path
from typing import Any

import own_networks
import pytest
import torch
from trained_space import released

from orchestrator import Classes, ImageFacts
from orchestrator.bundle import BundleContents, write_bundle
from orchestrator.candidate.assembly import settle
from orchestrator.config import StudyConfig, check_config, flat_config
from orchestrator.errors import ConfigError
from orchestrator.records import Genotype
from orchestrator.trials import FixedTrial

FACTS = ImageFacts.unnamed(16, classes=3)


def config(**groups: Any) -> StudyConfig:
    made: dict[str, Any] = {
        "space": {"name": "trained", "preset": "full"},
        "dataset": {"name": "image_folder", "root": "photos"},
        "device": {"name": "onnxruntime"},
        "estimator": {"name": "train"},
        "sampler": {"name": "random"},
        "objective": {"params": {"name": "params"}},
        "weights": "auto",
    }
    return check_config({**made, **groups})


def test_options_and_normalisation_of_weights_are_written_down_once(trained) -> None:
    found = settle(config(), trained)
    assert found.weights == "trained/sure" and found.space.options["slope"] == 0.1
    assert found.dataset.options["trained_with"] == [[0.1, 0.2, 0.3], [0.5, 0.5, 0.4]]
    assert settle(check_config(flat_config(found)), trained) == found


def test_a_search_from_noise_is_left_as_it_is(trained) -> None:
    plain = config(weights=None, dataset={"name": "image_folder", "root": "/photos"})
    assert settle(plain, trained) == plain


def test_an_option_that_contradicts_is_refused(trained) -> None:
    same = settle(config(space={"name": "trained", "preset": "full", "slope": 0.1}), trained)
    assert same.space.options["slope"] == 0.1
    with pytest.raises(ConfigError, match=r"space\.slope: found 0\.3, but .*sure need 0\.1"):
        settle(config(space={"name": "trained", "preset": "full", "slope": 0.3}), trained)


def test_a_dataset_that_does_not_ask_is_told_nothing(trained) -> None:
    found = settle(config(dataset={"name": "digits"}), trained)
    assert found.dataset.options == {}


def test_a_file_asks_for_the_options_of_those_it_is_named_like(trained, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(released(12, 7), path)
    found = settle(config(weights=str(path)), trained)
    assert found.weights == str(path) and found.space.options["slope"] == 0.1


def test_a_resumed_run_needs_its_file_no_more(trained, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(released(12, 7), path)
    found = settle(config(weights=str(path)), trained)
    path.unlink()
    assert settle(found, trained) == found


def test_what_other_weights_ask_for_is_refused_by_those_of_the_usual_function(trained) -> None:
    space = {"name": "mobilenetv3", "preset": "full", "convention": "tensorflow"}
    weights = "large-1.0-ra_in1k"
    assert settle(config(weights=weights, space={**space, "convention": "torch"}), trained)
    with pytest.raises(ConfigError, match=r"found tensorflow, but .*ra_in1k need torch"):
        settle(config(weights=weights, space=space), trained)


def test_a_bundle_of_another_space_is_refused_before_anything_is_paid_for(
    trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = trained.create("space", "trained", {"preset": "full"})
    architecture = {"width": 4, "slope": 0.1}
    network = space.build(architecture, FACTS, Classes(3))
    contents = BundleContents(Genotype("trained", "full", architecture), network, FACTS)
    monkeypatch.setattr("orchestrator.bundle.writing.verify", lambda *told: None)
    bundle = write_bundle(tmp_path / "theirs", contents)
    other = {"name": "mobilenetv2", "preset": "full"}
    with pytest.raises(ConfigError, match=r"a network of trained .*, found the search in mobilene"):
        settle(config(space=other, weights=str(bundle)), trained)


def test_grey_images_are_normalised_by_the_mean_of_the_colours(trained) -> None:
    grey = {"name": "image_folder", "root": "photos", "in_channels": 1}
    mean, deviation = settle(config(dataset=grey), trained).dataset.options["trained_with"]
    assert mean == pytest.approx([0.2]) and deviation == pytest.approx([1.4 / 3])


def test_a_space_that_takes_weights_is_told_those_of_the_search(trained, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(own_networks.narrow_vit(10, 3, 32).state_dict(), path)
    own = {"name": "own", "network": "own_networks:narrow_vit", "image_size": 32}
    found = settle(config(space=own, weights=str(path)), trained)
    assert found.space.options["weights"] == str(path)
    assert settle(found, trained) == found


def test_a_bundle_of_such_a_space_is_taken_whatever_it_started_from(
    trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"network": "own_networks:narrow_vit", "image_size": 16}
    space = trained.create("space", "own", {**options, "weights": "trained"})
    choices = space.published()["original"].choices
    genotype = Genotype("own", "whole", space.suggest(FixedTrial(choices)))
    network = space.build(genotype.architecture, FACTS, Classes(3))
    monkeypatch.setattr("orchestrator.bundle.writing.verify", lambda *told: None)
    told = {**options, "weights": "trained"}
    contents = BundleContents(genotype, network, FACTS, space_options=told)
    bundle = write_bundle(tmp_path / "mine", contents)
    found = settle(config(space={"name": "own", **options}, weights=str(bundle)), trained)
    assert found.weights == found.space.options["weights"] == str(bundle)
