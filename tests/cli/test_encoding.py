"""Output that a terminal has no letters for is written as ASCII; nothing is lost, nothing ends."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from orchestrator.cli.commands import main
from orchestrator.cli.encoding import write_anything

OLD = Path(__file__).parent.parent / "old_run"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "★ fp32 → int8, 3 × 4 … größer \\udcff"),
        ("latin-1", "* fp32 -> int8, 3 × 4 ... größer \\udcff"),
        ("ascii", "* fp32 -> int8, 3 x 4 ... gr\\xf6\\xdfer \\udcff"),
    ],
)
def test_letters_that_there_are_not_are_written_otherwise(encoding: str, shown: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    write_anything(stream)
    stream.write("★ fp32 → int8, 3 × 4 … größer \udcff")
    stream.flush()
    assert written.getvalue().decode(encoding) == shown


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["plugins"], ("mobilenetv3", "onnxruntime")),
        (["pick", str(OLD)], ("most accurate", str(OLD / "models"))),
        (["weights", "mobilenetv3"], ("mobilenetv3/large-1.0", "Listed: ")),
    ],
)
def test_commands_say_all_on_such_a_terminal(
    words: list[str], wanted: tuple[str, ...], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    main(words)
    told = written.getvalue().decode(encoding)
    assert all(text in told for text in wanted) and "…" not in told
