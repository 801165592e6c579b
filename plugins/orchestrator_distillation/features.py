"""Distillation by features: a student looks where its teacher looks.

loss = before + α · β · mean over maps of ½ ‖student − teacher‖²

Maps are vectors of length 1 (see `attention_maps`), so that each summand lies in [0, 1]. β is 10:
the published 10³ · mean over places is a weight of 1 to 16 on the squared distance for maps of 32
to 8 places a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from orchestrator import Ensemble, Loss, Teacher
from orchestrator.errors import CompressionError
from orchestrator_distillation.attention_maps import attention, looking_into, matched

__all__ = ["FeatureLoss", "maps_of"]

_BETA = 10.0


class FeatureLoss:
    """The loss before, and the distance of a student's attention maps to a teacher's.

    It looks into the network that is trained: see `watching`. `teacher` answers what `maps_of`
    gives.
    """

    def __init__(self, before: Loss, teacher: Teacher, alpha: float) -> None:
        self.before = before
        self.teacher = teacher
        self.alpha = alpha
        self.per_head: bool = getattr(before, "per_head", False)
        self._seen: dict[int, Tensor] | None = None

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Inside, `network` is the student."""
        with looking_into(network) as seen:
            self._seen = seen
            yield
        self._seen = None

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), logits and targets as the loss before takes them → scalar.

        Raises CompressionError outside of `watching`, and where the two have no maps to compare.
        """
        if self._seen is None:
            raise CompressionError(
                "distillation by features looks into the student: train it inside of "
                "`with loss.watching(network)`, as the trainer does."
            )
        student = {s: m for s, m in self._seen.items() if len(m) == len(images)}
        pairs = matched(student, _apart(self.teacher(images)))
        if not pairs:
            raise CompressionError(
                "distillation by features compares square maps of a student and a teacher; found "
                f"sides of {sorted(student) or 'none'} in the student. Choose kind soft."
            )
        distances = [(attention(s) - attention(t)).square().sum(1).mean() / 2 for s, t in pairs]
        return (
            self.before(images, logits, targets)
            + self.alpha * _BETA * torch.stack(distances).mean()
        )


def maps_of(network: nn.Module, images: Tensor) -> Tensor:
    """A teacher's maps for images (B, C, H, W) in one row each, so that they can be remembered.

    (B, sides + 1 + places): how many there are, their sides, and what is in them. Of several
    teachers the first is looked into.
    """
    who = network.members[0] if isinstance(network, Ensemble) else network
    with looking_into(who) as seen:
        who(images)
    known = {side: m for side, m in seen.items() if len(m) == len(images)}
    told = torch.tensor([float(len(known)), *map(float, known)], device=images.device)
    return torch.cat([told.expand(len(images), -1), *known.values()], dim=1)


def _apart(rows: Tensor) -> dict[int, Tensor]:
    """The inverse of `maps_of`."""
    count = int(rows[0, 0])
    sides = [int(side) for side in rows[0, 1 : 1 + count].tolist()]
    parts = torch.split(rows[:, 1 + count :], [side * side for side in sides], dim=1)
    return dict(zip(sides, parts, strict=True))
