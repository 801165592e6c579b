"""Intersection over union, streamed: a matrix of counts is all that is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from orchestrator import ImageFacts, Judge
from orchestrator_segmentation.confusion import Confusion
from orchestrator_segmentation.heads import resized

__all__ = ["IGNORE", "MaskJudge", "answered", "class_figure"]

# In a mask: counts neither for nor against anybody. Datasets give it this value.
IGNORE = 255
# Logits brought to the masks' size at once; more would leave the cache, or memory.
_MOST_ELEMENTS = 2**24


class MaskJudge(Judge):
    """Maps of logits (B, classes, h, w) against masks (B, H, W), judged at the masks' size."""

    def __init__(self, facts: ImageFacts) -> None:
        self.names = facts.classes
        self.confusion = Confusion(len(facts.classes), IGNORE)

    def add(self, answers: Tensor, targets: Tensor) -> None:
        """Count a batch, pixel by pixel."""
        for masks, found in answered(answers, targets):
            self.confusion.add(masks, found)
        self.count += len(targets)

    def figures(self) -> Mapping[str, float]:
        """miou, pixel_accuracy, and each class' IoU under `class_figure`'s name; 0 where unseen."""
        ious = dict(zip(self.names, self.confusion.ious().tolist(), strict=True))
        return {
            "miou": self.confusion.miou(),
            "pixel_accuracy": self.confusion.accuracy(),
            **{class_figure(name): 0.0 if math.isnan(iou) else iou for name, iou in ious.items()},
        }

    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """Each class' pixels ("count"), IoU, and share of its pixels found ("recall")."""
        rows = zip(
            self.names,
            self.confusion.counts.sum(1).tolist(),
            self.confusion.ious().tolist(),
            self.confusion.recalls().tolist(),
            strict=True,
        )
        return {
            name: {"count": pixels, "iou": iou, "recall": recall}
            for name, pixels, iou, recall in rows
            if pixels
        }

    def confusions(self) -> Sequence[tuple[str, str, int]]:
        """What was taken for what, in pixels."""
        found = self.confusion.counts
        rows, columns = found.nonzero()
        return [
            (self.names[r], self.names[c], int(found[r, c]))
            for r, c in zip(rows, columns, strict=True)
        ]


def class_figure(name: str) -> str:
    """What a class' IoU is called among the figures."""
    return f"iou/{name}"


def answered(answers: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Masks and the classes answered, both (b, H, W), a part of the batch after another.

    So that no part's logits are too many at the masks' size.
    """
    height, width = (int(side) for side in targets.shape[-2:])
    step = max(1, _MOST_ELEMENTS // (answers.shape[1] * height * width))
    for start in range(0, len(targets), step):
        maps, masks = (each[start : start + step] for each in (answers, targets))
        yield masks, resized(maps.float(), (height, width)).argmax(1)
