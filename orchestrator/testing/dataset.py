"""The contract suite of datasets: call `check_dataset` in a plugin's own tests."""

from __future__ import annotations

import pickle

import numpy as np

from orchestrator.contracts import Dataset, Images, Split

__all__ = ["check_dataset"]

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_PICKLE_BYTES = 100_000


def check_dataset(dataset: Dataset) -> None:
    """Raise AssertionError with a sentence if `dataset` breaks its contract.

    Cost: every split is read twice.
    """
    _check_names(dataset)
    for name in _SPLITS:
        _check_images(dataset, name)
    _check_normalisation(dataset)
    _check_pickle(dataset)


def _check_names(dataset: Dataset) -> None:
    assert dataset.name, "a dataset has a name"
    classes = dataset.classes
    assert len(classes) >= 2, f"{len(classes)} classes, expected at least two"
    assert len(set(classes)) == len(classes), f"class names repeat: {classes}"
    assert dataset.licence, "the licence is text, 'unknown' where nobody knows"
    assert isinstance(dataset.mirror, bool), "mirror is true or false"
    assert all(isinstance(note, str) for note in dataset.notes), "notes are sentences"


def _check_images(dataset: Dataset, name: Split) -> None:
    images = dataset.split(name)
    pixels, labels = images.pixels, images.labels
    size = dataset.image_size
    assert pixels.dtype == np.uint8, f"{name}: pixels are {pixels.dtype}, expected uint8"
    assert labels.dtype == np.int64, f"{name}: labels are {labels.dtype}, expected int64"
    shape = (len(labels), dataset.in_channels, size, size)
    assert pixels.shape == shape, f"{name}: pixels are {pixels.shape}, expected {shape}"
    found, expected = set(labels.tolist()), set(range(len(dataset.classes)))
    assert found == expected, f"{name}: labels are {sorted(found)}, expected all of the classes"
    assert _same(images, dataset.split(name)), f"{name}: a second call gives other images"


def _check_normalisation(dataset: Dataset) -> None:
    for what in ("mean", "deviation"):
        values = getattr(dataset, what)
        assert len(values) == dataset.in_channels, f"{what} has one number a channel"
        assert all(0 <= value <= 1 for value in values), f"{what} {values} is not of [0, 1] pixels"
    assert min(dataset.deviation) > 0, "deviation is more than 0"


def _check_pickle(dataset: Dataset) -> None:
    """Datasets travel to every worker: the images must not."""
    text = pickle.dumps(dataset)
    assert len(text) <= _PICKLE_BYTES, f"pickles to {len(text)} bytes: drop images in __getstate__"
    copy = pickle.loads(text)
    for what in ("classes", "image_size", "in_channels", "mean", "deviation", "mirror"):
        assert getattr(copy, what) == getattr(dataset, what), f"{what} is lost by pickling"
    for name in _SPLITS:
        same = _same(copy.split(name), dataset.split(name))
        assert same, f"{name}: a pickled dataset gives other images"


def _same(first: Images, second: Images) -> bool:
    return np.array_equal(first.pixels, second.pixels) and np.array_equal(
        first.labels, second.labels
    )
