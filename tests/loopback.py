"""A real OpenSSH server on this machine's loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
Subsystem sftp internal-sftp
"""


class Sshd:
    """Started at once. What it lets in is `key`; who it is stands in `known_hosts`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("host", "client", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "config").write_text(_CONFIG.format(port=self.port, folder=folder))
        self.know("host")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.start()

    @property
    def options(self) -> dict[str, Any]:
        """What a device says to reach it."""
        return {
            "host": "127.0.0.1",
            "user": getpass.getuser(),
            "port": self.port,
            "key": str(self.folder / "client"),
            "known_hosts": str(self.folder / "known_hosts"),
            "python": sys.executable,
            "folder": str(self.home),
            "patience_seconds": 0.0,
        }

    @property
    def home(self) -> Path:
        """Where the agent's folder is; its name would mean something else to a shell."""
        return self.folder / "a $HOME 'of' its; own"

    def know(self, name: str) -> None:
        """What is written down as the host's key."""
        key = (self.folder / f"{name}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")

    def start(self) -> None:
        assert _SSHD is not None
        command = [_SSHD, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def send(self, kind: signal.Signals) -> None:
        """To the server and all that runs in its sessions: stop is sleep, kill is a power cut."""
        for process in self._all():
            process.send_signal(kind)

    def kill(self) -> None:
        everything = self._all()
        self.send(signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(everything, timeout=10)

    def agents(self) -> list[psutil.Process]:
        """The agents that it started."""
        return [p for p in self._all() if any(w.endswith("agent.py") for w in _words(p))]

    def sessions(self) -> list[Path]:
        """Folders of sessions that are not over."""
        return sorted(self.home.glob("run-*"))

    def _all(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]


def _words(process: psutil.Process) -> list[str]:
    """Of its command line; none of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie is one too
        return []


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server of the test's own; the test is skipped where OpenSSH's is not installed."""
    if _SSHD is None:
        pytest.skip("no sshd is installed: apt-get install openssh-server")
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = Sshd(folder)
    yield server
    server.send(signal.SIGCONT)
    server.kill()
