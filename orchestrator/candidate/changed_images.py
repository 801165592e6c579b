"""What a file answers to images of a split after they were changed: noise, blur and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from orchestrator.contracts import ImageChange, Samples
from orchestrator.measuring.gate import held
from orchestrator.training.footing import Footing

__all__ = ["ChangedImages"]

_IMAGES = 128


class ChangedImages:
    """Judges one file by the task's leading metric; what was asked once is known afterwards.

    A subset of a split are images evenly spaced over it, the same ones for every file. `predict`
    runs the file. The gate is held for a batch at a time.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        samples: Samples,
        footing: Footing,
    ) -> None:
        self._predict = predict
        self._samples = samples
        self._footing = footing
        self._known: dict[tuple[ImageChange, int], float] = {}

    def __call__(self, changes: Sequence[ImageChange], images: int) -> list[float]:
        """The figure under each change, of so many images or all there are."""
        ahead = [change for change in changes if (change, images) not in self._known]
        if ahead:
            figures = self._judged(ahead, images)
            self._known.update(zip([(c, images) for c in ahead], figures, strict=True))
        return [self._known[change, images] for change in changes]

    def _judged(self, changes: Sequence[ImageChange], images: int) -> list[float]:
        """Each image is read once, whatever becomes of it."""
        task, facts = self._footing.task, self._footing.dataset.facts
        judges = [task.judge(facts) for _ in changes]
        chosen = evenly(len(self._samples), images)
        for first in range(0, len(chosen), _IMAGES):
            with held(self._footing.gate):
                pixels, targets = self._samples.read(chosen[first : first + _IMAGES])
            for change, judge in zip(changes, judges, strict=True):
                with held(self._footing.gate):
                    changed = facts.normalise(change(np.asarray(pixels), first))
                    answers = self._predict(changed)
                judge.add(torch.from_numpy(answers), torch.from_numpy(np.asarray(targets)))
        return [float(judge.figures()[task.leading.name]) for judge in judges]


def evenly(total: int, wanted: int) -> np.ndarray:
    """Indices of so many of `total`, evenly spaced; all of them where there are no more."""
    return np.arange(min(total, wanted)) * total // min(total, wanted)
