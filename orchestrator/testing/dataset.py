"""The contract suite of datasets: call `check_dataset` in a plugin's own tests."""

from __future__ import annotations

import pickle

import numpy as np

from orchestrator.contracts import Dataset, Samples, Split, samples_of

__all__ = ["check_dataset"]

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_PICKLE_BYTES = 100_000


def check_dataset(dataset: Dataset) -> None:
    """Raise AssertionError with a sentence if `dataset` breaks its contract.

    Cost: every split is read a few times.
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
    samples = samples_of(dataset, name)
    everything = np.arange(len(samples))
    pixels, targets = samples.read(everything)
    assert pixels.dtype == np.uint8, f"{name}: pixels are {pixels.dtype}, expected uint8"
    assert targets.dtype == np.int64, f"{name}: targets are {targets.dtype}, expected int64"
    assert len(targets) == len(samples), f"{name}: {len(samples)} samples, {len(targets)} targets"
    shape = (len(samples), *dataset.facts.shape)
    assert pixels.shape == shape, f"{name}: pixels are {pixels.shape}, expected {shape}"
    if targets.ndim == 1:
        found, expected = set(targets.tolist()), set(range(len(dataset.classes)))
        assert found == expected, f"{name}: labels are {sorted(found)}, expected all of the classes"
    known = getattr(samples, "targets", None)
    assert known is None or np.array_equal(known, targets), (
        f"{name}: targets differ from those read"
    )
    assert _same(samples, samples_of(dataset, name)), f"{name}: a second call gives other images"
    _check_order(samples, name)


def _check_order(samples: Samples, name: Split) -> None:
    """Any indices in any order, and what is random comes from the generator alone."""
    some = np.arange(len(samples))[::-2]
    pixels, targets = samples.read(np.arange(len(samples)))
    again = samples.read(some)
    same = np.array_equal(again[0], pixels[some]) and np.array_equal(again[1], targets[some])
    assert same, f"{name}: an image depends on what else is read with it"
    first, second = (samples.read(some, np.random.default_rng(0)) for _ in range(2))
    repeated = np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert repeated, f"{name}: the same generator gives other images"
    assert first[0].shape == again[0].shape, f"{name}: with a generator the shape is another"


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
        same = _same(samples_of(copy, name), samples_of(dataset, name))
        assert same, f"{name}: a pickled dataset gives other images"


def _same(first: Samples, second: Samples) -> bool:
    if len(first) != len(second):
        return False
    everything = np.arange(len(first))
    pairs = zip(first.read(everything), second.read(everything), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)
