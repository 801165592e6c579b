from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trained_space import HUB, NEAR, SURE, TrainedPlugin, released

from orchestrator import Classes
from orchestrator.errors import ConfigError, WeightsError
from orchestrator.plugins import Plugins
from orchestrator.pretrained.loading import load_checkpoint


def test_auto_takes_the_first_that_is_exact(space, facts, hub) -> None:
    found = load_checkpoint("auto", space, facts())
    assert found.credit.name == "trained/sure" and found.genotype.architecture["width"] == 12
    assert found.credit.source == f"{HUB}/sure.safetensors" and found.credit.checked


def test_auto_says_where_nothing_is_exact(space, facts, monkeypatch) -> None:
    near = {"near": space.pretrained()["near"]}
    monkeypatch.setattr(space, "pretrained", lambda: near)
    with pytest.raises(ConfigError, match=r"nothing gives the very answers.*trained/near"):
        load_checkpoint("auto", space, facts())


def test_the_tensors_are_the_networks_own_and_the_classifier_goes(space, facts, hub) -> None:
    found = load_checkpoint("trained/sure", space, facts())
    network = space.build(found.genotype.architecture, found.facts, Classes(3))
    lacking, beyond = network.load_state_dict(found.tensors, strict=False)
    assert beyond == [] and lacking == ["classifier.weight", "classifier.bias"]
    assert torch.equal(network.stem.weight, released(12, 5)["conv.weight"])
    assert "without the classifier, as its 5 classes" in found.credit.part in found.notes[0]


def test_a_thousand_classes_of_imagenets_names_keep_the_classifier(space, facts, hub) -> None:
    named = replace(facts(), classes=tuple(f"n{n:08d}" for n in range(1000)))
    plain = replace(facts(), classes=tuple(f"c{n:04d}" for n in range(1000)))
    assert "classifier.weight" in load_checkpoint("near", space, named).tensors
    assert "classifier.weight" not in load_checkpoint("near", space, plain).tensors


@pytest.mark.parametrize(("channels", "first"), [(1, "sum"), (4, "repeated")])
def test_other_channels_get_a_first_layer_that_fits(space, facts, hub, channels, first) -> None:
    found = load_checkpoint("sure", space, facts(channels=channels))
    before, now = released(12, 5)["conv.weight"], found.tensors["stem.weight"]
    expected = before.sum(1, keepdim=True) if channels == 1 else before[:, [0, 1, 2, 0]] * 0.75
    assert torch.equal(now, expected) and first in found.credit.part


def test_a_publisher_who_tells_no_hash_is_told_of(space, facts, hub) -> None:
    found = load_checkpoint("near", space, facts())
    assert not found.credit.checked and len(found.credit.sha256) == 64
    assert any(
        f"{found.credit.sha256} (not checked: no sha256 is listed for it)" in note
        for note in found.notes
    )


def test_a_file_that_is_listed_is_known_by_its_hash(space, facts, tmp_path: Path) -> None:
    path = tmp_path / "downloaded.safetensors"
    path.write_bytes(SURE)
    found = load_checkpoint(str(path), space, facts())
    assert found.credit.name == "trained/sure" and found.credit.source == str(path)


def test_a_file_that_nobody_lists_is_told_by_trying(space, facts, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save({"state_dict": released(12, 7)}, path)
    found = load_checkpoint(str(path), space, facts(7))
    assert (found.credit.member, found.credit.classes) == ("12", 7)
    assert found.credit.unlicensed and "in the names of trained/sure" in found.notes[0]
    own = tmp_path / "ours.pth"
    torch.save(dict(space.translate(released(8, 3), "theirs")), own)
    assert load_checkpoint(str(own), space, facts()).credit.member == "8"


def test_a_file_of_another_family_is_told_what_it_is_like(space, facts, tmp_path: Path) -> None:
    path = tmp_path / "strange.pth"
    torch.save({"layers.0.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(WeightsError, match="fits no published network of trained") as found:
        load_checkpoint(str(path), space, facts())
    assert "the network has, the file lacks: classifier.bias, classifier.weight" in str(found.value)
    assert "the file has, the network lacks: layers.0.weight" in str(found.value)


def test_a_file_of_another_space_is_told_which_listed_one_it_is_like(
    trained, space, facts, tmp_path: Path
) -> None:
    path, other = tmp_path / "mine.pth", trained.create("space", "mobilenetv1", {"preset": "full"})
    only = Plugins.empty()
    only.register(TrainedPlugin(), "trained", "trained")
    torch.save(dict(space.translate(released(8, 1000), "theirs")), path)
    with pytest.raises(WeightsError, match="fits no published network of mobilenetv1") as found:
        load_checkpoint(str(path), other, facts(), plugins=only)
    assert "By its shapes it is most like trained/near." in str(found.value)
    with pytest.raises(WeightsError) as untold:
        load_checkpoint(str(path), other, facts())
    assert "By its shapes" not in str(untold.value)


def test_a_listed_file_with_other_classes_is_refused(space, facts, hub, tmp_path: Path) -> None:
    (tmp_path / "hub/toys/trained/resolve/main/near.pth").write_bytes(_saved(released(8, 21)))
    with pytest.raises(WeightsError, match="tells 21 classes apart, expected 1000"):
        load_checkpoint("near", space, facts())


def test_small_networks_have_no_published_weights(trained, facts) -> None:
    small = trained.create("space", "trained", {"preset": "small"})
    with pytest.raises(ConfigError, match=r"Add space.preset=full"):
        load_checkpoint("auto", small, facts())


def test_a_space_without_the_option_is_refused(trained, facts) -> None:
    bare = trained.create("space", "trained", {"preset": "full"})
    with pytest.raises(ConfigError, match=r"needs space.slope=0.1, found 0.0"):
        load_checkpoint("sure", bare, facts())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("trained/shure", "no such name.*did you mean"),
        ("mobilenetv2/tv-v1", "the space is trained"),
        ("nowhere.pth", "no such file"),
    ],
)
def test_a_name_that_there_is_not_is_told_what_there_is(space, facts, weights, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(weights, space, facts())


def _saved(state: dict[str, torch.Tensor]) -> bytes:
    import io

    file = io.BytesIO()
    torch.save(state, file)
    assert file.getvalue() != NEAR
    return file.getvalue()
