"""Counts of right answers, class by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from orchestrator import ImageFacts, Judge

__all__ = ["ClassJudge"]

_BEST = 5


class ClassJudge(Judge):
    """Top-1, top-5 and balanced accuracy of logits (B, classes) against labels int64 (B,)."""

    def __init__(self, facts: ImageFacts) -> None:
        self.names = facts.classes
        # Rows: images, right ones, those right among five; columns: classes.
        self._counts = torch.zeros((3, len(facts.classes)), dtype=torch.int64)
        # A true class and the class answered, as one number, → how often.
        self._pairs: Counter[int] = Counter()

    def add(self, answers: Tensor, targets: Tensor) -> None:
        """Count a batch."""
        best = answers.topk(min(_BEST, answers.shape[1]), dim=1).indices
        answered = answers.argmax(1)
        right = answered == targets
        near = (best == targets[:, None]).any(1)
        counted = (targets, targets[right], targets[near])
        found = [torch.bincount(labels, minlength=len(self.names)) for labels in counted]
        self._counts += torch.stack(found).cpu()
        self._pairs.update((targets * len(self.names) + answered).tolist())
        self.count += len(targets)

    def figures(self) -> Mapping[str, float]:
        """accuracy, top5 and balanced_accuracy; of classes that were seen."""
        images, right, near = self._counts.tolist()
        shares = [hits / total for hits, total in zip(right, images, strict=True) if total]
        return {
            "accuracy": sum(right) / sum(images),
            "top5": sum(near) / sum(images),
            "balanced_accuracy": sum(shares) / len(shares),
        }

    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """Each class's number of images and their accuracy."""
        images, right, _ = self._counts.tolist()
        return {
            name: {"count": total, "accuracy": hits / total}
            for name, total, hits in zip(self.names, images, right, strict=True)
            if total
        }

    def confusions(self) -> Sequence[tuple[str, str, int]]:
        """What was taken for what, right answers included, in the order of the classes."""
        return [
            (self.names[pair // len(self.names)], self.names[pair % len(self.names)], count)
            for pair, count in sorted(self._pairs.items())
        ]
