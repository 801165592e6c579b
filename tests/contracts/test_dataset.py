from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from orchestrator import ArraySamples, Images
from orchestrator.contracts import Split, samples_of
from orchestrator.errors import DataError

PIXELS = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
LABELS = np.arange(5) % 2


def dataset(found: Any) -> Any:
    def split(name: Split) -> Any:
        return found

    return SimpleNamespace(name="mine", split=split)


def test_arrays_are_read_by_index() -> None:
    pixels, targets = ArraySamples(PIXELS, LABELS).read(np.array([3, 0]))
    assert np.array_equal(pixels, PIXELS[[3, 0]])
    assert targets.tolist() == [1, 0]


def test_the_old_name_goes_on_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="ArraySamples"):
        images = Images(PIXELS, labels=LABELS)
    assert np.array_equal(images.labels, LABELS)
    assert samples_of(dataset(images), "train") is images


def test_pixels_and_labels_of_a_third_party_go_on_with_a_warning() -> None:
    theirs = SimpleNamespace(pixels=PIXELS, labels=LABELS)
    with pytest.warns(DeprecationWarning, match="the train split of mine"):
        found = samples_of(dataset(theirs), "train")
    assert len(found) == 5
    assert found.read(np.array([1]))[1].tolist() == [1]


def test_what_is_no_samples_is_told() -> None:
    with pytest.raises(DataError, match="is a list, expected samples"):
        samples_of(dataset([1, 2]), "test")


def test_an_empty_split_is_named() -> None:
    with pytest.raises(DataError, match="the validation split of mine is empty"):
        samples_of(dataset(ArraySamples(PIXELS[:0], LABELS[:0])), "validation")
