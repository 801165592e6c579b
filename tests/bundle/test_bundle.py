from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import FACTS, LocalRuntime, drop, edit, make
from bundles import exported as export
from PIL import Image
from torch import nn

from orchestrator import Artifact, Genotype, ImageFacts, errors, leave_out
from orchestrator.bundle import BundleContents, read_facts, rebuild, verify, write_bundle
from orchestrator.bundle.resizing import resize

SPACES = ("efficientformer", "mobilenetv3", "shufflenetv2")


@pytest.fixture
def contents() -> BundleContents:
    return make("mobilenetv3")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> BundleContents:
    """With an ONNX file and its int8 version."""
    return export(tmp_path_factory.mktemp("exported"))


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("name", SPACES)
def test_a_pruned_network_is_rebuilt_as_exactly_the_same_function(name, ratio, tmp_path):
    contents = make(name, ratio=ratio)
    network = rebuild(write_bundle(tmp_path / "best", contents))
    images = torch.randn(4, 1, 16, 16)
    logits = network(images)
    assert torch.equal(logits, contents.network(images))
    assert logits.std(0).max() > 0.01
    assert not network.training


@pytest.mark.parametrize("name", SPACES)
def test_rebuilt_layers_know_their_own_size(name, tmp_path):
    contents = make(name, ratio=0.5)
    network = rebuild(write_bundle(tmp_path / "best", contents))
    assert repr(network) == repr(contents.network)


def test_colour_images_and_other_seeds_work_too(tmp_path):
    facts = ImageFacts(32, 3, ("cat", "dog"), (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    for seed in range(3):
        for name in SPACES:
            write_bundle(tmp_path / f"{name}{seed}", make(name, facts, seed=seed))
    assert len(list(tmp_path.iterdir())) == 9


def test_every_kind_of_layer_is_resized(tmp_path):
    def layers(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.PReLU(width),
            nn.Conv2d(width, 2 * width, 3, padding=1, groups=width),
            nn.Conv2d(2 * width, width, 1, groups=4),
            nn.GroupNorm(4, width),
            nn.ConvTranspose2d(width, width, 2, groups=width),
            nn.InstanceNorm2d(width, affine=True),
            nn.BatchNorm2d(width, affine=False),
            nn.ConvTranspose2d(width, width, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(width),
            nn.Linear(width, 3),
        )

    wide, narrow = layers(16), layers(8)
    resize(wide, narrow.state_dict(), tmp_path)
    wide.load_state_dict(narrow.state_dict())
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(wide.eval()(images), narrow.eval()(images))
    assert repr(wide) == repr(narrow)


def test_the_random_generator_is_left_alone(contents, tmp_path):
    write_bundle(tmp_path / "best", contents)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    rebuild(tmp_path / "best")
    assert torch.equal(torch.rand(1), expected)


def test_verification_compares_the_files_on_the_device(exported, tmp_path):
    found = verify(write_bundle(tmp_path / "best", exported), LocalRuntime())
    assert found.network_difference < 1e-6
    assert found.differences["fp32"] < 1e-5
    assert found.agreements["fp32"] == 1
    assert 0 <= found.agreements["int8"] <= 1


def test_the_facts_are_json_and_name_every_file(exported, tmp_path):
    folder = write_bundle(tmp_path / "best", exported)
    facts = read_facts(folder)
    assert {*facts["sha256"], "genotype.json"} == {path.name for path in folder.iterdir()}
    assert Genotype.from_json(facts["genotype"]) == exported.genotype
    assert facts["recommended"] == "int8"
    assert (facts["classes"], facts["mean"], facts["licence"]) == (
        list("abcde"),
        [0.5],
        "CC-BY-4.0",
    )


def test_a_colleague_may_read_every_file_that_a_plain_one_lets_him_read(exported, tmp_path):
    (tmp_path / "plain").touch()
    folder = write_bundle(tmp_path / "best", exported)
    wanted = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in folder.iterdir()} == {wanted}


def test_a_class_whose_name_is_not_utf_8_is_kept(exported, tmp_path):
    named = replace(exported.images, classes=("gr\udcf6n", *"bcde"))
    folder = write_bundle(tmp_path / "best", replace(exported, images=named))
    assert read_facts(folder)["classes"][0] == "gr\udcf6n"
    assert "gr\\udcf6n" in (folder / "card.md").read_text("utf-8")


def test_the_card_tells_figures_licence_and_compression(exported, tmp_path):
    text = (write_bundle(tmp_path / "best", exported) / "card.md").read_text()
    assert "| accuracy | 98.8 % |" in text
    assert "| note | a\\|b |" in text
    assert "CC-BY-4.0" in text
    assert '| pruning | {"ratio": 0.5} |' in text


def test_what_the_card_says_about_running_runs(exported, tmp_path, monkeypatch, capsys):
    folder = write_bundle(tmp_path / "best", exported)
    _, run, again = (folder / "card.md").read_text().split("```python\n")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    monkeypatch.chdir(folder)
    exec(run.split("```")[0], {})
    images = torch.from_numpy((pixels / 255 - 0.5) / 0.25).float()[None, None]
    logits = LocalRuntime().predict(Artifact(Path("model.int8.onnx"), "onnx"), images.numpy())
    assert capsys.readouterr().out == "abcde"[logits.argmax()] + "\n"
    exec(again.split("```")[0], {})


def test_a_bundle_without_a_file_says_so(contents, tmp_path):
    assert (
        "No file is recommended"
        in (write_bundle(tmp_path / "best", contents) / "card.md").read_text()
    )


def test_artifacts_may_lie_in_the_folder_already_and_strangers_stay(exported, tmp_path):
    folder = tmp_path / "best"
    folder.mkdir()
    inside = {
        label: replace(a, path=Path(shutil.copy(a.path, folder)))
        for label, a in exported.artifacts.items()
    }
    (folder / "notes.txt").write_text("mine")
    write_bundle(folder, replace(exported, artifacts=inside))
    verify(write_bundle(folder, replace(exported, artifacts=inside)), LocalRuntime())
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_network_that_would_not_rebuild_is_not_written(contents, tmp_path):
    write_bundle(tmp_path / "best", contents)
    before = (tmp_path / "best" / "genotype.json").read_bytes()

    class Doubled(type(contents.network)):
        def forward(self, x):
            return 2 * super().forward(x)

    contents.network.__class__ = Doubled
    with pytest.raises(errors.ParityError, match="not the same function"):
        write_bundle(tmp_path / "best", contents)
    assert (tmp_path / "best" / "genotype.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_recommending_a_file_that_is_not_there_is_an_error(contents, tmp_path):
    with pytest.raises(errors.RunError, match="'int8' is recommended but the files are none"):
        write_bundle(tmp_path / "best", replace(contents, recommended="int8"))


@pytest.mark.parametrize("name", ["weights.safetensors", "check.safetensors", "card.md"])
def test_a_changed_file_is_found(name, contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    damaged = bytearray((folder / name).read_bytes())
    damaged[-1] ^= 1
    (folder / name).write_bytes(damaged)
    with pytest.raises(errors.RunError, match=f"{name} is not the file that was written"):
        verify(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "check.safetensors", "card.md"])
def test_a_missing_file_is_found(name, contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    (folder / name).unlink()
    with pytest.raises(errors.RunError, match=f"{name} is missing"):
        verify(folder)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_truncated_weights_are_refused(kept, contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(errors.RunError, match=r"weights\.safetensors is not the file that was"):
        rebuild(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "has format 0, this version reads 2 and 3"),
        ("{}", "has format 0, this version reads 2 and 3"),
        ('{"format": 1}', "lacks artifacts, classes"),
        ('{"format": 2}', "lacks artifacts, classes"),
        ('{"format": 3}', "lacks artifacts, classes"),
        ('{"format": 4, "versions": {"orchestrator": "9"}}', "format 4, .* a newer Orchestrator"),
    ],
)
def test_facts_that_make_no_sense_are_refused(text, message, contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    (folder / "genotype.json").write_text(text)
    with pytest.raises(errors.RunError, match=message):
        rebuild(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(errors.RunError, match=r"no finalist's folder.*no genotype\.json"):
        verify(tmp_path)


def test_an_edited_architecture_does_not_load(contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    other = read_facts(write_bundle(tmp_path / "other", make("mobilenetv3", seed=4)))
    edit(folder, genotype=other["genotype"])
    with pytest.raises(errors.RunError, match="do not belong together"):
        rebuild(folder)


def test_edited_facts_about_images_are_found(contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    edit(folder, mean=[0.1])
    with pytest.raises(errors.ParityError, match="a logit differs by"):
        verify(folder)


def test_a_name_outside_of_the_folder_is_refused(contents, tmp_path):
    folder = write_bundle(tmp_path / "best", contents)
    edit(folder, sha256={**read_facts(folder)["sha256"], "../secret": "00"})
    with pytest.raises(errors.RunError, match="outside of the folder"):
        verify(folder)


def test_a_file_that_is_another_function_is_found(exported, tmp_path):
    folder = write_bundle(tmp_path / "best", exported)
    files = read_facts(folder)["artifacts"]
    edit(folder, artifacts={"fp32": {**files["int8"], "exact": True}}, recommended="fp32")
    with pytest.raises(errors.ParityError, match=r"model\.int8\.onnx is not the same function"):
        verify(folder, LocalRuntime())


def test_a_device_of_other_formats_is_refused(exported, tmp_path):
    folder = write_bundle(tmp_path / "best", exported)
    device = LocalRuntime()
    device.formats = frozenset({"pte"})
    with pytest.raises(errors.RunError, match=r"model\.onnx is onnx, but local reads pte"):
        verify(folder, device)


def test_the_first_format_is_read_and_verified_as_ever(exported, tmp_path):
    """It said neither what is exact nor what lies beside a file."""
    folder = write_bundle(tmp_path / "best", exported)
    today = read_facts(folder)
    first = {
        label: {"file": entry["file"], "format": entry["format"]}
        for label, entry in today["artifacts"].items()
    }
    edit(folder, artifacts=first, format=1, recommended="model.int8.onnx")
    drop(folder, "ranges", "usage")
    assert read_facts(folder)["artifacts"] == today["artifacts"]
    found = verify(folder, LocalRuntime())
    assert found.differences.keys() == {"fp32"}
    assert found.agreements.keys() == {"fp32", "int8"}


def test_a_file_of_several_is_kept_whole(exported, tmp_path):
    beside = tmp_path / "model.bin"
    beside.write_bytes(b"weights")
    exact = replace(exported.artifacts["fp32"], beside=(beside,))
    folder = write_bundle(
        tmp_path / "best", replace(exported, artifacts={"fp32": exact}, recommended="fp32")
    )
    assert (folder / "model.bin").read_bytes() == b"weights"
    assert read_facts(folder)["sha256"].keys() >= {"model.onnx", "model.bin"}
    (folder / "model.bin").write_bytes(b"others!")
    with pytest.raises(errors.RunError, match=r"model\.bin is not the file that was written"):
        verify(folder)


def test_ranges_are_kept(contents, tmp_path):
    ranges = {"stem": [-1.0, 6.0]}
    folder = write_bundle(tmp_path / "best", replace(contents, ranges=ranges))
    assert read_facts(folder)["ranges"] == ranges


def test_blocks_that_were_left_out_are_left_out_again(tmp_path):
    contents = make("mobilenetv2", seed=0, ratio=0.0)
    blocks = {
        name: module
        for name, module in contents.network.named_modules()
        if getattr(module, "residual", False)
    }
    leave_out(contents.network, list(blocks)[:1])
    folder = write_bundle(tmp_path / "bundle", contents)
    assert read_facts(folder)["left_out"] == list(blocks)[:1]
    images = torch.randn(2, *FACTS.shape)
    assert torch.equal(rebuild(folder)(images), contents.network.eval()(images))


def test_a_block_that_the_network_does_not_have_cannot_be_left_out(tmp_path):
    folder = write_bundle(tmp_path / "bundle", make("mobilenetv2", seed=0))
    edit(folder, left_out=["stages.9"])
    with pytest.raises(errors.RunError, match=r"leaves out stages\.9"):
        rebuild(folder)
