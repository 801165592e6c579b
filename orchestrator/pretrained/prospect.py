"""What a search would start from, before anything is fetched or paid for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import human, marked
from orchestrator.bundle.facts import read_facts, start_of
from orchestrator.contracts import SearchSpace
from orchestrator.pretrained.fetching import at_hand
from orchestrator.pretrained.identifying import is_path, released_as
from orchestrator.pretrained.listing import Listed, find
from orchestrator.records import Credit

__all__ = ["Prospect", "prospect", "prospect_of"]


@dataclass(frozen=True)
class Prospect:
    """Weights as they are known without reading them; plain values for a plan.

    `bytes` is the released file's, None where nobody tells it. `at_hand` says that no network is
    needed; `source` is where they lie, or where they will be fetched. `mean` and `deviation` are of
    the images they were trained with, one of each channel; empty where nobody tells them.
    """

    name: str
    member: str
    licence: str
    credit: str
    data: str
    source: str
    at_hand: bool
    bytes: int | None = None
    sha256: str = ""
    exact: bool = True
    top1_percent: float | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For a plan's table."""
        size = human(self.bytes, "bytes") if self.bytes else "of unknown size"
        where = "at hand" if self.at_hand else f"will be fetched from {self.source}"
        exact = "" if self.exact else "; only near to the function it was released as"
        return (
            f"{self.name}, {size}, {where}; licence {marked(self.licence)}; {self.credit}; data: "
            f"{marked(self.data)}{exact}"
        )

    @property
    def warnings(self) -> list[str]:
        """What the user should know before it is used."""
        found = []
        if self.licence == Credit.UNKNOWN:
            found.append(
                f"weights={self.name}: nobody says under which licence they are. What is trained "
                "from them is owed to them all the same; ask before you ship it."
            )
        if not self.exact:
            found.append(
                f"weights={self.name}: their network here is only near to the one they were "
                "trained in, so they are worth less than published."
            )
        return found


def prospect(weights: str, space: SearchSpace) -> Prospect:
    """What `weights` would be for a space; raises UsageError as a search's start would.

    The network is not asked.
    """
    if not is_path(weights):
        return prospect_of(find(weights, space))
    path = Path(weights).expanduser().absolute()
    if path.is_dir():
        return _of_bundle(path)
    known = released_as(path, space)
    if known is not None:
        return prospect_of(known, path)
    return Prospect(
        name=str(path),
        member="",
        licence=Credit.UNKNOWN,
        credit="whoever made the file",
        data=Credit.UNKNOWN,
        source=str(path),
        at_hand=True,
        bytes=path.stat().st_size,
    )


def prospect_of(listed: Listed, path: Path | None = None) -> Prospect:
    """Of a listed checkpoint, or of its very file at `path`."""
    checkpoint, found = listed.checkpoint, path or at_hand(listed)
    remote = [where for where in checkpoint.locations if not where.startswith("pkg://")]
    elsewhere = next(iter([*remote, *checkpoint.locations]))
    source = str(path) if path else getattr(found, "source", elsewhere)
    return Prospect(
        name=listed.name,
        member=checkpoint.member,
        licence=checkpoint.licence,
        credit=checkpoint.credit,
        data=checkpoint.data,
        source=source,
        at_hand=found is not None,
        bytes=checkpoint.size_bytes or (path.stat().st_size if path else None),
        sha256=checkpoint.sha256,
        exact=checkpoint.exact,
        top1_percent=checkpoint.top1_percent,
        mean=checkpoint.mean,
        deviation=checkpoint.deviation,
    )


def _of_bundle(folder: Path) -> Prospect:
    facts = read_facts(folder)
    file = folder / "weights.safetensors"
    start = start_of(facts, folder)
    return Prospect(
        name=str(folder),
        member=str(facts["id"]),
        licence=start.licence if start else "your own",
        credit=start.credit if start else "a search of your own",
        data=start.data if start else f"licence {facts['licence']}",
        source=str(file),
        at_hand=True,
        bytes=file.stat().st_size if file.is_file() else None,
        mean=tuple(facts["mean"]),
        deviation=tuple(facts["deviation"]),
    )
