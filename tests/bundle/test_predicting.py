"""A file becomes the same pixels in training, for `predict` and by the lines of the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import exported as with_files
from orchestrator_datasets.image_folder import ImageFolder
from PIL import Image

from orchestrator import PixelRecipe, errors
from orchestrator.bundle import read_facts, write_bundle
from orchestrator.bundle.predicting import found_images, recipe_of
from orchestrator.cli.commands import main

NOISE = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)


def _turned(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(folder / "turned.jpg", exif=exif, quality=95)
    return folder / "turned.jpg"


def _transparent(folder: Path) -> Path:
    clear = np.dstack([NOISE, NOISE[:, :, :1]])
    Image.fromarray(clear).save(folder / "clear.png")
    return folder / "clear.png"


def _deep(folder: Path) -> Path:
    """12 bits in 16."""
    Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 16 + 5).save(folder / "deep.png")
    return folder / "deep.png"


def _saved(name: str, mode: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        Image.fromarray(NOISE).convert(mode).save(folder / name)
        return folder / name

    return make


MADE: dict[str, Callable[[Path], Path]] = {
    "turned": _turned,
    "wide": _saved("wide.bmp", "RGB"),
    "16 bits": _deep,
    "transparent": _transparent,
    "grey": _saved("grey.tif", "L"),
    "palette": _saved("palette.gif", "P"),
    "cmyk": _saved("print.jpg", "CMYK"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    recipe = PixelRecipe(16, 1, (0, 4095))
    return write_bundle(folder / "best", replace(with_files(folder), pixels=recipe))


@pytest.mark.parametrize("kind", MADE)
def test_the_card_reads_a_file_as_training_did(
    kind: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = MADE[kind](tmp_path)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            copy = tmp_path / "data" / name / f"{number}{photo.suffix}"
            copy.write_bytes(photo.read_bytes())
    options: dict[str, Any] = {"image_size": 16, "in_channels": 1, "levels": (0, 4095)}
    data = ImageFolder(root=str(tmp_path / "data"), cache=str(tmp_path / "kept"), **options)
    trained = np.asarray(data.split("train").read(np.arange(1))[0])
    _, lines, *_ = (bundle / "card.md").read_text().split("```python\n")
    monkeypatch.chdir(bundle)
    known: dict[str, Any] = {}
    exec(lines.split("```")[0].replace("photo.png", str(photo)), known)
    assert np.abs(known["pixels"].astype(int) - trained).max() == 0
    normalised = replace(data.facts, mean=(0.5,), deviation=(0.25,)).normalise(trained)
    assert np.array_equal(known["images"], normalised)


def test_predict_tells_classes_as_the_card_s_lines_do(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [make(tmp_path) for make in MADE.values()]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    main(["predict", str(bundle), *map(str, paths), str(tmp_path / "broken.jpg"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == "int8" and len(told["images"]) == 8
    assert all(row["class"] in "abcde" for row in told["images"][:-1])
    assert told["images"][-1]["left_out"] == "no image, or of a format that is not read"


def test_predict_on_a_device_takes_the_file_that_leads_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runtimes = {"int8": "elsewhere", "fp32": "onnxruntime"}
    leads = {"here": "int8", "there": "fp32"}
    contents = replace(with_files(tmp_path), runtimes=runtimes, leads=leads)
    folder, photo = write_bundle(tmp_path / "best", contents), MADE["wide"](tmp_path)
    main(["predict", str(folder), str(photo), "--device", "onnxruntime", "--json"])
    assert json.loads(capsys.readouterr().out)["file"] == "fp32"


def test_class_folders_give_accuracy_and_a_confusion_matrix(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b", "d"):
        (tmp_path / "shots" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(NOISE[number:, :, 0]).save(tmp_path / f"shots/{name}/{number}.png")
    main(["predict", str(bundle), str(tmp_path / "shots"), "--json", "--top", "2"])
    judged = json.loads(capsys.readouterr().out)["judged"]
    assert judged["images"] == 6 and np.sum(judged["confusion"]) == 6
    right = judged["confusion"][1][1] + judged["confusion"][3][3]
    assert judged["accuracy"] == right / 6
    main(["predict", str(bundle), str(tmp_path / "shots")])
    shown = capsys.readouterr().out
    assert "of 6 images, balanced" in shown and "confusion matrix" in shown


def test_files_of_other_suffixes_are_passed_over_and_counted(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(NOISE).save(tmp_path / "1.png")
    for name in ("a.heic", "b.HEIC", "notes", ".hidden.txt"):
        (tmp_path / name).write_text("x")
    main(["predict", str(bundle), str(tmp_path), "--json"])
    told = capsys.readouterr()
    assert json.loads(told.out)["passed_over"] == {".heic": 2, "": 1}
    assert "passed over: 3 files of no image's suffix (2 .heic, 1 without suffix)" in told.err


def test_predict_reads_what_it_runs_and_no_other_file(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, copy = _transparent(tmp_path), Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "weights.safetensors").write_bytes(b"another")
    main(["predict", str(copy), str(photo), "--json"])
    assert json.loads(capsys.readouterr().out)["file"] == "int8"
    with (copy / read_facts(copy)["artifacts"]["int8"]["file"]).open("ab") as file:
        file.write(b"x")
    with pytest.raises(SystemExit):
        main(["predict", str(copy), str(photo)])
    assert "is not the file that was written" in capsys.readouterr().err


def test_folders_called_otherwise_give_no_labels(tmp_path: Path) -> None:
    for name in ("a", "z"):
        (tmp_path / name).mkdir()
        Image.fromarray(NOISE).save(tmp_path / name / "1.png")
    assert found_images([tmp_path], "abc").labels == ()
    assert found_images([tmp_path], "abc").strange == ("z",)
    assert found_images([tmp_path], "abz").labels == (0, 2)
    assert len(found_images([tmp_path / "a", tmp_path / "z"], "abz").paths) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.png"], "gone.png: no such file or folder"),
        (["."], "holds no images, expected files such as"),
        (["card.md"], "not one of 1 file can be read"),
        ([".", "card.md"], "is a finalist's folder too, expected one, then images"),
        (["card.md", "--top", "0"], "--top is 0, expected 1 or more"),
        (["card.md", "--file", "int9"], "has no file 'int9'; did you mean 'int8'"),
    ],
)
def test_what_cannot_be_asked_is_told(
    words: list[str],
    said: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(bundle)
    with pytest.raises(SystemExit) as end:
        main(["predict", ".", *words])
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_a_folder_of_before_recipes_is_read_as_its_images_were(bundle: Path) -> None:
    facts = {k: v for k, v in read_facts(bundle).items() if k != "pixels"}
    assert recipe_of(facts, bundle) == PixelRecipe(16, 1, (0, 65535))
    with pytest.raises(errors.RunError, match="images with 7 channels, expected 1 or 3"):
        recipe_of({**facts, "in_channels": 7}, bundle)


def test_a_recipe_of_another_form_is_refused() -> None:
    recipe = PixelRecipe(16, 1).to_json()
    assert PixelRecipe.from_json(recipe) == PixelRecipe(16, 1)
    with pytest.raises(errors.RunError, match="expected format 1"):
        PixelRecipe.from_json({**recipe, "cut": "none"})
    with pytest.raises(errors.RunError, match="is damaged"):
        PixelRecipe.from_json({"format": 1})
