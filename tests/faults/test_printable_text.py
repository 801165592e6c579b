"""Whatever a plugin says can be stored, shown and read again."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console

from orchestrator.candidate.evaluation import failure
from orchestrator.cli.finalists import plain
from orchestrator.faults.printable import LINE, TEXT, printable
from orchestrator.records import Finalist, Genotype, Record

GENOTYPE = Genotype("toy", "small", {"widths": [1]})
# A name that is not UTF-8, a terminal's escape, a zero, letters turned round, ends of lines.
BAD = ["a\udcff", "\x1b[31mred", "nul\x00", "\u202egnp.exe", "one\rtwo", "\u2028", "\x9b2J"]


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_shown_is_written_as_an_escape(text: str) -> None:
    shown = printable(f"before {text} after")
    assert shown.encode("utf-8") and shown.isprintable()
    assert shown.startswith("before ") and shown.endswith(" after")
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["größer als 5 µs", "ネット", "two\nlines\tand a tab", "→ 😀"])
def test_letters_of_any_script_stay(text: str) -> None:
    assert printable(text) == text


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = printable("first " + "x" * 5_000_000 + " last")
    assert len(text) <= TEXT
    assert text.startswith("first") and text.endswith("last") and "of 5,000,011 characters" in text


@pytest.mark.parametrize("text", BAD)
def test_a_record_of_any_error_can_be_kept_and_shown(text: str) -> None:
    record = failure(3, GENOTYPE, RuntimeError(f"bad {text} text " + "y" * 200_000), step=text)
    stored = json.dumps(record.to_json(), ensure_ascii=False).encode("utf-8")
    assert Record.from_json(json.loads(stored)) == record
    assert len(record.reason) <= LINE and len(record.error) <= TEXT
    file = io.StringIO()
    csv.writer(file).writerow([record.reason, record.error])
    assert next(csv.reader(io.StringIO(file.getvalue()))) == [record.reason, record.error]


def test_what_a_journal_of_old_holds_is_mended_when_it_is_read() -> None:
    stored = Record(0, GENOTYPE, "failed").to_json() | {"reason": "a\udcff", "error": "e" * 10**6}
    assert Record.from_json(stored).reason == "a\\udcff"
    assert len(Record.from_json(stored).error) <= TEXT


def test_what_compressors_and_checks_report_goes_through_the_same_door() -> None:
    told = {"compression": {"kept": ["\x1b[2J", 3], "\ud800": 0.5}}
    assert Record(0, GENOTYPE, "feasible", extra=told).extra == {
        "compression": {"kept": ["\\x1b[2J", 3], "\\ud800": 0.5}
    }
    assert Finalist("0", marks=("\x1b]0;title\x07",)).marks == ("\\x1b]0;title\\x07",)


def test_nothing_reaches_the_terminal_that_moves_its_cursor() -> None:
    screen = io.StringIO()
    Console(file=screen, width=80).print(plain("note \x1b[2J[red]\udcff"), highlight=False)
    assert screen.getvalue() == "note \\x1b[2J[red]\\udcff\n"
