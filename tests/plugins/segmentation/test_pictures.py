from __future__ import annotations

import base64
import io

import numpy as np
import torch
from orchestrator_segmentation.pictures import colours, mask_uri
from orchestrator_segmentation.task import Segmentation
from PIL import Image
from torch.nn import functional

from orchestrator import Batch, ImageFacts, image_uri


def _read(uri: str) -> Image.Image:
    head, _, text = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_colours_are_those_of_pascal_voc() -> None:
    assert colours(5) == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert len(set(colours(255))) == 255


def test_a_mask_has_a_colour_a_class_and_white_where_it_is_ignored() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    picture = _read(mask_uri(mask, 3)).convert("RGB").resize((2, 2), Image.Resampling.NEAREST)
    found = np.asarray(picture).reshape(4, 3).tolist()
    assert found == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [255, 255, 255]]


def test_grey_and_coloured_images_are_shown_as_they_are() -> None:
    for channels in (1, 3):
        pixels = np.random.default_rng(0).integers(0, 256, (channels, 96, 96), dtype=np.uint8)
        shown = np.asarray(_read(image_uri(pixels)))
        assert np.array_equal(shown.reshape(96, 96, -1).transpose(2, 0, 1), pixels)


def test_small_pictures_are_enlarged_and_stay_small_files() -> None:
    uri = mask_uri(np.zeros((32, 32), np.uint8), 3)
    assert _read(uri).size == (96, 96)
    assert len(uri) < 500


def test_the_task_shows_image_truth_and_answer_at_the_size_of_the_image() -> None:
    facts = ImageFacts(96, 1, ("ground", "cat", "dog"), (0.5,), (0.5,))
    masks = torch.randint(0, 3, (2, 96, 96))
    masks[0, 0, :8] = 255
    batch = Batch(torch.zeros(2, 1, 96, 96, dtype=torch.uint8), masks, facts, False, 96)
    right = functional.one_hot(masks.where(masks < 3, 0), 3).movedim(-1, 1).float()
    task = Segmentation(stride=4)
    for row in task.pictures(batch, right):
        assert list(row) == ["image", "truth", "answer"]
        assert row["truth"] == row["answer"]
    nothing = torch.zeros(2, 3, 24, 24)
    answer = _read(task.pictures(batch, nothing)[0]["answer"]).convert("RGB")
    assert answer.size == (96, 96)
    assert set(answer.getcolors()) == {(8, (255, 255, 255)), (96 * 96 - 8, (0, 0, 0))}
    assert task.colours(facts) == {"ground": "#000000", "cat": "#800000", "dog": "#008000"}
