"""Finalists in the terminal: a table where it is wide enough, else a few lines a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.analysis.display import MISSING, counted, human, label, needs, timed
from orchestrator.faults.printable import printable

if TYPE_CHECKING:
    from orchestrator.records import Finalist, ShippedFile
    from orchestrator.study import Study

__all__ = ["plain", "show_figures", "show_finalists", "show_paths"]

# What the table of eleven columns takes without breaking words.
_TABLE_WIDTH = 150


def show_finalists(study: Study, out: Console) -> None:
    """All files of all finalists, best on validation first; then where those picked lie."""
    name = f"test_{study.leading}"
    ordered = sorted(study.finalists, key=lambda each: each.validated(study.leading), reverse=True)
    if not ordered:
        return
    if out.width >= _TABLE_WIDTH:
        out.print(_table(ordered, name))
    else:
        for entry in ordered:
            for line in _lines(entry, name, out.width):
                out.print(Text(printable(line)), soft_wrap=True)
    show_paths(_picked(ordered, study.folder), out)


def show_figures(rows: Sequence[Mapping[str, str]], out: Console) -> None:
    """Rows of the same figures by name: a table, or one after another where that is too wide."""
    if out.width >= _TABLE_WIDTH:
        heads = list(dict.fromkeys(name for row in rows for name in row))
        table = Table(*heads, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(plain(row.get(head, MISSING)) for head in heads))
        out.print(table)
        return
    for row in rows:
        (_, first), *rest = row.items()
        told = [f"{name} {value}" for name, value in rest if value != MISSING]
        for line in (first, *_whole(told, "  ", out.width)):
            out.print(Text(printable(line)), soft_wrap=True)


def show_paths(named: Sequence[tuple[str, str]], out: Console) -> None:
    """What each path is and the path, never broken, so that it can be copied."""
    for what, path in named:
        out.print(Text(printable(f"{what}: {path}")), soft_wrap=True)


def plain(text: str) -> str:
    """A cell that is shown as it is, whatever it holds."""
    return escape(printable(text))


def _picked(finalists: Sequence[Finalist], folder: Path) -> list[tuple[str, str]]:
    """(needs, path) of each file that suits one."""
    found = []
    for entry in finalists:
        for file in entry.files:
            if file.picks:
                found.append((", ".join(file.picks), str(folder / file.file)))
        if not entry.files and entry.picks:
            found.append((", ".join(entry.picks), str(folder / entry.file)))
    return found


def _table(finalists: Sequence[Finalist], name: str) -> Table:
    heads = ("finalist", "file", "runtime", "steps", label(name), "latency", "size", "MACs")
    table = Table(*heads, "agreement", "picks", "marks", pad_edge=False, box=None)
    for entry in finalists:
        if not entry.files:
            table.add_row(*map(plain, _row_of_old(entry, name)))
        for number, file in enumerate(entry.files):
            cells = _file_row(file, entry.figures.get("test_images"))
            table.add_row("" if number else plain(entry.id), *map(plain, cells))
    return table


def _whole(items: Iterable[str], indent: str, width: int) -> Iterator[str]:
    """Lines of items, none of which is broken unless it is wider than a line."""
    line = ""
    for item in items:
        if line and len(f"{indent}{line}, {item},") > width:
            yield f"{indent}{line},"
            line = ""
        line = f"{line}, {item}" if line else item
    yield from [f"{indent}{line}"] if line else []


def _lines(entry: Finalist, name: str, width: int) -> Iterator[str]:
    """For a narrow terminal."""
    yield entry.id
    if not entry.files:
        old = [cell for cell in _row_of_old(entry, name)[1:] if cell != MISSING]
        yield from _whole(old, "  ", width)
    for file in entry.files:
        cells = _file_row(file, entry.figures.get("test_images"))
        what, runtime, steps, reached, latency, size, macs, agreement, picks, marks = cells
        yield f"  {what}, {runtime}: {steps}"
        figures = f"{reached} on test", latency, size, f"{macs} MACs", f"agreement {agreement}"
        yield from _whole(figures, "    ", width)
        for told, mark in ((picks, ", "), (marks, "; ")):
            yield from _whole([] if told == MISSING else told.split(mark), "    ", width)


def _file_row(file: ShippedFile, images: int | None) -> list[str]:
    return [
        f"{file.label} ★" if file.recommended else file.label,
        file.runtime,
        " → ".join(("trained", *file.steps)),
        counted(file.reached, images),
        timed(file.latency) if file.latency else MISSING,
        human(file.size_bytes, "bytes"),
        MISSING if file.macs is None else human(file.macs, ""),
        "exact" if file.agreement is None else human(file.agreement, "share"),
        ", ".join(needs(file.picks, file.rivals)) or MISSING,
        "; ".join(file.marks) or MISSING,
    ]


def _row_of_old(entry: Finalist, name: str) -> list[str]:
    """Of a run in which a finalist was one file."""
    figures = entry.figures
    return [
        entry.id,
        entry.file.rpartition("/")[2],
        MISSING,
        MISSING,
        _change(figures, name, "share"),
        _change(figures, "latency_ms", "ms"),
        _change(figures, "size_bytes", "bytes"),
        human(figures["macs"], "") if "macs" in figures else MISSING,
        MISSING,
        ", ".join(entry.picks) or MISSING,
        "; ".join(entry.marks) or MISSING,
    ]


def _change(figures: Mapping[str, Any], name: str, unit: str) -> str:
    stem, _, tail = name.rpartition("_")
    before = figures.get(f"{stem}_fp32_{tail}", figures.get(f"{name}_fp32"))
    now = human(figures[name], unit)
    return now if before is None else f"{now} (was {human(before, unit)})"
