"""A search for networks that answer with maps, from the command line to bundles and report."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import onnxruntime
import pytest
from command_line import QUICK, command

from orchestrator.records import Finalist
from orchestrator.study import Study, load

_QUICK = [
    *(item for item in QUICK if not item.startswith(("dataset", "train"))),
    "task=segmentation",
    "dataset.count=64",
    "dataset.image_size=32",
    "train.epochs=1",
    "train.final_epochs=1",
    "compressor.pruning.ratios=[0.25]",
    "compressor.quantization.schemes=[int8]",
    "compressor.distillation.alphas=[0.5]",
    "budget.candidates=3",
    "budget.finalists=1",
    "budget.concurrent=1",
    "objective=[miou,pixel_accuracy,iou,macs,latency_ms,size_bytes]",
    "objective.iou.cls=3",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("runs") / "masks"
    done = subprocess.run(
        command(*_QUICK, f"run.dir={folder}"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return load(folder)


@pytest.fixture(scope="module")
def finalist(study: Study) -> Finalist:
    (found,) = study.finalists
    return found


def test_task_head_and_figures_are_kept_of_every_candidate(study: Study) -> None:
    assert study.feasible
    for record in study.feasible:
        assert record.genotype.task == "segmentation"
        assert record.genotype.head["decoder"] in ("lraspp", "fpn")
        assert record.choices["head.decoder"] == record.genotype.head["decoder"]
        assert {"miou", "pixel_accuracy", "iou"} <= set(record.values)
        assert all(0 <= record.values[name] <= 1 for name in ("miou", "pixel_accuracy", "iou"))


def test_the_data_is_the_embedded_one_unless_another_is_named(study: Study) -> None:
    assert study.config.dataset.name == "scenes"
    assert study.config.train.batch_size == 16


def test_a_finalist_is_pruned_quantized_distilled_and_verified(finalist: Finalist) -> None:
    assert finalist.verified, finalist.marks
    assert {"distillation.alpha", "pruning.ratio"} <= set(finalist.choices)
    (int8,) = [file for file in finalist.files if file.file.endswith(".int8.onnx")]
    assert int8.verified and int8.steps == ("distillation", "pruning", "quantization")
    assert 0 <= finalist.figures["test_miou"] <= 1


def test_the_shipped_file_answers_with_maps(study: Study, finalist: Finalist) -> None:
    session = onnxruntime.InferenceSession(study.folder / finalist.file)
    (answer,) = session.get_outputs()
    assert answer.shape[1:] == [6, 8, 8]


def test_classes_and_pictures_are_shown(study: Study, finalist: Finalist) -> None:
    assert set(finalist.classes) == {"ground", *"01234"}
    assert {"count", "iou", "recall"} == set(finalist.classes["ground"])
    assert finalist.pictures
    for row in finalist.pictures:
        assert list(row) == ["image", "truth", "answer"]
        assert row["image"] in study.home.report.read_text()


def test_the_card_says_that_answers_are_maps(study: Study, finalist: Finalist) -> None:
    card = (study.folder / finalist.folder / "card.md").read_text()
    assert "| ground |" in card
    assert "map" in card


def test_what_the_card_says_to_run_runs(study: Study, finalist: Finalist) -> None:
    import numpy as np
    from PIL import Image

    folder = Path(study.folder / finalist.folder)
    code = (folder / "card.md").read_text().split("```python\n")[1].split("```")[0]
    grey = np.arange(50 * 40, dtype=np.uint8).reshape(40, 50)
    Image.fromarray(grey).save(folder / "photo.png")
    done = subprocess.run(
        [*command()[:1], "-c", code + "\nprint(json.dumps(mask.shape))"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Of the square in the photo's middle, which is what the network sees of it.
    side = json.loads((folder / "genotype.json").read_text())["pixels"]["size"]
    assert json.loads(done.stdout.splitlines()[-1]) == [side, side]
    assert (folder / "mask.png").is_file()
