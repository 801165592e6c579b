"""Looking around is quick: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("torch", "ray", "optuna", "mlflow", "plotly", "onnxruntime")
_REPORT = """
import sys
from orchestrator.cli.commands import main
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
