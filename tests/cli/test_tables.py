"""The command that measures a space's blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.candidate.latency_table import LatencyTable
from orchestrator.cli.commands import main

SMALL = ["+search=mobilenetv3", "dataset.image_size=16"]


def test_a_table_is_built_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.json"
    sizes = ["--blocks", "4", "--fit", "4", "--held-out", "3"]
    main(["table", *SMALL, *sizes, "--to", str(path)])
    told = capsys.readouterr().out
    assert "on 3 held-out networks wrong by" in told and f"Table: {path}" in told
    table = LatencyTable.read(path)
    assert table.image_shape == (1, 16, 16) and len(table.blocks) > 10
    assert all(block.ms > 0 for block in table.blocks.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fit", "2"], "--fit is 2, expected 4 or more"),
        (["--held-out", "1"], "--held-out is 1, expected 3 or more"),
        (["--to", "one", "-m", "run.seed=1,2"], "--to names one file, found 2 searches"),
    ],
)
def test_a_table_of_too_few_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["table", *SMALL, *arguments])
    assert message in capsys.readouterr().err
