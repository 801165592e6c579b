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
_REFUSED = """
import resource, sys
from orchestrator.cli.commands import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 2, end.code
print("imported:", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], []])
def test_help_and_plugins_import_nothing_heavy(arguments: list[str]) -> None:
    source = _REPORT.format(heavy=_HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "imported:"
    assert "mobilenetv3" in done.stdout


@pytest.mark.parametrize("words", [["plan"], []])
def test_an_unknown_key_is_told_before_anything_heavy_is_imported(words: list[str]) -> None:
    source = _REFUSED.format(heavy=_HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", source, *words, "+search=mobilenetv3", "trian.epochs=3"],
        capture_output=True,
        text=True,
        check=True,
    )
    *message, imported, seconds = done.stderr.splitlines()
    assert "did you mean 'train'?" in "\n".join(message)
    assert imported == "imported:"
    # A second on a machine of its own; others' work makes each cost more here.
    assert float(seconds) < 2.5
