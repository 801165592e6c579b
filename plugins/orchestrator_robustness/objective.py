"""The leading metric on corrupted images (Hendrycks & Dietterich 2019, arXiv:1903.12261)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError, ConfigError, closest
from orchestrator_robustness.corruptions import KINDS, SEVERITIES, Corruption

__all__ = ["Robustness"]


class Robustness(Objective):
    """The task's leading metric, a share, over kinds of corruption at five severities; their mean.

    The idea and the severities are Hendrycks & Dietterich's; kinds and strengths are our own, so
    figures are not those of ImageNet-C. `images` of the split are looked at, the same ones for all
    candidates (validation) and for all finalists (test); `kinds` are by default all. Everything
    that the file's own runtime answers is judged. Costs kinds × 5 × `images` inferences: with all
    twelve and 128 images 7,680, some seconds for a network of half a millisecond.
    """

    name = "robustness"
    unit = "share"
    direction = "maximize"
    tier = "estimated"
    needs_answers: ClassVar[bool] = True
    summary: ClassVar[str] = "the leading metric on noisy, blurred, foggy and coarse images"

    def __init__(self, *, images: int = 128, kinds: Sequence[str] | None = None) -> None:
        if images < 1:
            raise ConfigError(f"objective.robustness.images is {images}, expected 1 or more.")
        chosen = tuple(KINDS) if kinds is None else tuple(kinds)
        for kind in chosen:
            if kind not in KINDS:
                text = closest(kind, KINDS)
                raise ConfigError(f"objective.robustness.kinds: there is no {kind!r}; {text}")
        if not chosen:
            raise ConfigError("objective.robustness.kinds is empty, expected one kind at least.")
        self.images = images
        self.changes = tuple(Corruption(kind, s) for kind in chosen for s in SEVERITIES)

    def measure(self, subject: Subject) -> float:
        """The mean; raises CandidateError where there is no file that answers."""
        return fmean(self._figures(subject))

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """The mean of each kind over severities, and of each severity over kinds."""
        figures = dict(zip(self.changes, self._figures(subject), strict=True))
        kinds = {change.kind: 0.0 for change in self.changes}
        by_kind = {k: fmean(v for c, v in figures.items() if c.kind == k) for k in kinds}
        by_severity = {
            f"severity_{s}": fmean(v for c, v in figures.items() if c.severity == s)
            for s in SEVERITIES
        }
        return {**by_kind, **by_severity}

    def _figures(self, subject: Subject) -> Sequence[float]:
        if subject.judge is None:
            raise CandidateError(
                "there is no trained file that answers changed images; robustness is known only "
                "after training."
            )
        return subject.judge(self.changes, self.images)
