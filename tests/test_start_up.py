"""Looking around is quick: nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from orchestrator.cli import main
from orchestrator.plugins import installed

_HEAVY = ("torch", "ray", "optuna", "mlflow", "plotly", "onnxruntime")
_REPORT = """
import sys
from orchestrator.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], []])
def test_help_and_plugins_import_nothing_heavy(arguments: list[str]) -> None:
    source = _REPORT.format(heavy=_HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "imported:"
    assert "mobilenetv3" in done.stdout


def test_every_published_network_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["networks", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for family in installed().offered("space"):
        space = installed().resolve("space", family)
        members = space(preset="full").published() if "full" in space.presets else {}
        for member, point in members.items():
            row = rows.pop(f"{family}/{member}")
            assert row["family"] == family
            assert (row["params"], row["macs"]) == (point.params, point.macs)
            assert row["image_size"] >= 32 and row["source"]
    assert not rows


def test_networks_are_listed_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    main(["networks"])
    printed = capsys.readouterr().out
    assert "mobilenetv3/large-1.0" in printed and "5.48 M" in printed
