"""A signal ends any command at once, also while it waits for what another holds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.measuring.gate import Gate

# What a script does to what it starts by "&"; tests that run under nohup ignore its signal too.
_WAITS = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from orchestrator.cli import commands
from orchestrator.measuring.gate import Gate

def wait(arguments):
    print("waits", flush=True)
    with Gate(Path(arguments[0])).exclusive():
        print("goes on")

commands._COMMANDS = {"wait": wait}
commands.main(["wait", sys.argv[1]])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_behind_a_held_gate_ends_with_one_sentence(
    tmp_path: Path, number: signal.Signals
) -> None:
    command, pipe = [sys.executable, "-c", _WAITS, str(tmp_path)], subprocess.PIPE
    with (
        Gate(tmp_path).shared(),
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as waiting,
    ):
        assert waiting.stdout is not None and waiting.stdout.readline() == "waits\n"
        time.sleep(0.2)
        waiting.send_signal(number)
        try:
            told = waiting.communicate(timeout=20)
        finally:
            waiting.kill()  # else leaving would wait for one that heard nothing
    assert (waiting.returncode, *told) == (130, "", "orchestrator: stopped.\n")


def test_native_code_that_takes_the_process_down_is_told_where() -> None:
    dies = "import os\nfrom orchestrator.cli import commands\n"
    dies += "commands._COMMANDS = {'x': lambda told: os.abort()}\ncommands.main(['x'])"
    done = subprocess.run([sys.executable, "-c", dies], capture_output=True, text=True, check=False)
    assert done.returncode < 0
    assert "Fatal Python error: Aborted" in done.stderr and "in <lambda>" in done.stderr
