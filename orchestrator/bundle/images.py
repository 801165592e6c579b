"""Which images a finalist's folder says it is of, beside what its run says."""

from __future__ import annotations

from pathlib import Path

from orchestrator.bundle.facts import read_facts
from orchestrator.data import DataSummary, kept_summary
from orchestrator.errors import RunError

__all__ = ["told_of_images"]


def told_of_images(folder: Path) -> list[str]:
    """Sentences on a folder's images and their fingerprints; none where it does not say.

    Where it lies in a run's folder the two are compared: raises RunError for other classes or
    other training images, as the folder is then of another search.
    """
    stored = read_facts(folder).get("data")
    if not stored:
        return []
    own, run = DataSummary.from_json(stored), kept_summary(folder.resolve().parent.parent)
    marks = ", ".join(f"{name} {text}" for name, text in own.fingerprints.items())
    told = [f"images: {own.told}", f"fingerprints: {marks}"]
    if run is None:
        return told
    for what, mine, theirs in (
        ("classes", own.classes, run.classes),
        ("training images", own.fingerprints.get("train"), run.fingerprints.get("train")),
    ):
        if mine != theirs:
            raise RunError(
                f"{folder} is of other {what} than the run that it lies in ({mine} there, {theirs} "
                "in data.json). Was the folder copied here from another run? Move it out to "
                "rebuild it alone."
            )
    return [*told, "they are those of the run that the folder lies in"]
