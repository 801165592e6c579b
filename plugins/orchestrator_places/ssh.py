"""Another machine over OpenSSH, with nothing to install there but the runtime."""

from __future__ import annotations

import base64
import json
import posixpath
import shlex
import subprocess
import tempfile
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from orchestrator import Place
from orchestrator.errors import ConfigError, DeviceError
from orchestrator_places.content import digest
from orchestrator_places.openssh import (
    Address,
    Connection,
    Gone,
    environment,
    explained,
    words,
)

__all__ = ["Ssh"]

_PROBE = 'import sys;print("python %d.%d" % sys.version_info[:2])'
_PROBE_SECONDS, _AGAIN_SECONDS = 60.0, 2.0
# What ssh itself fails with.
_FAILED = 255


class Ssh(Place):
    """A machine that `ssh` reaches, by a key or an agent; its host key must be known.

    `user`, `port`, `key` and `known_hosts` are those of ~/.ssh/config where they are not given.
    `python` is looked for, and its packages must have the runtime. The agent and loaders are kept
    in `folder`, what is measured lies there in a folder of the session's, which ends with it. A
    machine that has answered once and is gone is waited for, for `patience_seconds`;
    `limit_seconds` is the longest that one session of measuring may take.
    """

    name = "ssh"
    shares_host = False

    def __init__(  # noqa: PLR0913 (the options of a YAML file)
        self,
        *,
        host: str,
        user: str | None = None,
        port: int | None = None,
        key: str | None = None,
        known_hosts: str | None = None,
        python: str | None = None,
        folder: str = "~/.cache/orchestrator",
        patience_seconds: float = 60.0,
        limit_seconds: float = 600.0,
    ) -> None:
        named, at, machine = host.rpartition("@")
        self.address = Address(machine, (named if at else None) or user, port, key, known_hosts)
        self.name = f"ssh {self.address}"
        self.folder = folder
        self.patience_seconds = patience_seconds
        self.seconds = limit_seconds
        self._pythons = [_path(python)] if python else ["python3", "python"]
        self._session = f"run-{uuid.uuid4().hex[:12]}"
        self._forget()

    def _forget(self) -> None:
        self._connection: Connection | None = None
        self._python = ""
        self._there: Mapping[str, str] = {}
        # Folders there → the files here that they were made of.
        self._brought: dict[str, tuple[Path, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the connection."""
        own: dict[str, Any] = {"_connection": None, "_python": "", "_there": {}, "_brought": {}}
        return {**self.__dict__, **own, "_session": f"run-{uuid.uuid4().hex[:12]}"}

    def check(self) -> None:
        """Connect and look for Python; raises DeviceError, saying what is wrong."""
        self._connected()

    def pip(self, packages: Sequence[str]) -> str:
        """For the Python that was found there."""
        return f"{self._python or 'python3'} -m pip install {' '.join(packages)}"

    def put(self, files: Sequence[Path], *, keep: bool = False) -> str:
        """Bring files there unless they are; what is kept has its content's hash as folder."""
        self._connected()
        base = self._there["code" if keep else "session"]
        folder = posixpath.join(base, digest(files))
        if folder not in self._brought:
            try:
                self._bring(folder, files, look=keep)
            except Gone:  # in the middle of it
                self._connected()
                self._bring(folder, files, look=True)
            self._brought[folder] = tuple(files)
        return posixpath.join(folder, files[0].name)

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """The agent's copy, its line through the one connection."""
        agent = self.put([self.agent], keep=True)
        order = {"op": "start", "session": self._there["session"], "agent": agent}
        return subprocess.Popen(
            self._words(order),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(),
            start_new_session=True,
        )

    def close(self) -> None:
        """End the connection; the session's folder goes with it."""
        if self._connection is not None:
            self._connection.close()
        self._forget()

    def _connected(self) -> None:
        """Connect if that is not so; raises DeviceError after `patience_seconds`."""
        if self._connection is not None and self._connection.alive:
            return
        known = self._connection is not None
        end = time.monotonic() + (self.patience_seconds if known else 0.0)
        while True:
            try:
                self._connect()
                break
            except Gone as error:
                if time.monotonic() >= end:
                    waited = f" It was waited for {self.patience_seconds:.0f} s." if known else ""
                    raise DeviceError(f"{error}{waited}") from error
                time.sleep(_AGAIN_SECONDS)
        self._bring_again()

    def _connect(self) -> None:
        if not self._python:
            self._python = self._found_python()
        order = {"op": "hold", "root": self.folder, "session": self._session}
        connection = Connection(self.address, _command(self._python, order))
        if self._connection is not None:
            self._connection.close()
        self._connection = connection
        self._there = self._answer(connection.said)

    def _bring_again(self) -> None:
        """After a lost connection: whatever this session brought, as far as it is still here."""
        brought, self._brought = self._brought, {}
        for folder, files in brought.items():
            if all(file.is_file() for file in files):
                self._bring(folder, files, look=True)
                self._brought[folder] = files

    def _found_python(self) -> str:
        seen = []
        for python in self._pythons:
            told = self._probed(python)
            if told is not None and told >= (3, 8):
                return python
            seen.append(f"{python} is {told[0]}.{told[1]}" if told else f"no {python}")
        raise DeviceError(
            f"{self.name} has no Python 3.8 or later ({', '.join(seen)}). Install one there, or "
            "say where it is: device.python=PATH."
        )

    def _probed(self, python: str) -> tuple[int, int] | None:
        """The version there; None without one. Raises DeviceError."""
        command = f"{shlex.quote(python)} -ES -c '{_PROBE}'"
        done = self._run(words(self.address, command), subprocess.DEVNULL, _PROBE_SECONDS)
        before, mark, version = done.stdout.decode(errors="replace").rpartition("python ")
        if before.strip():
            raise DeviceError(
                f"{self.name} prints {before.strip()[:80]!r} at every login, which comes between "
                "its answers. Print it there only to a terminal: [ -t 1 ] && …"
            )
        if done.returncode or not mark:
            return None
        major, _, minor = version.strip().partition(".")
        return int(major), int(minor)

    def _bring(self, folder: str, files: Sequence[Path], *, look: bool) -> None:
        if look and self._ask({"op": "has", "folders": [folder]})["has"]:
            return
        with tempfile.TemporaryFile() as sent:
            listed = [(file.name, file.stat().st_size) for file in files]
            sent.write(json.dumps(listed).encode() + b"\n")
            for file in files:
                sent.write(file.read_bytes())
            sent.seek(0)
            self._ask({"op": "put", "folder": folder, "drop": self._outlived()}, sent)

    def _outlived(self) -> list[str]:
        """What lies there of files that are no more, as those of candidates that are measured."""
        gone = [f for f, files in self._brought.items() if not all(map(Path.is_file, files))]
        for folder in gone:
            del self._brought[folder]
        return gone

    def _ask(self, order: Mapping[str, Any], sent: Any = subprocess.DEVNULL) -> Mapping[str, Any]:
        done = self._run(self._words(order), sent, self.seconds)
        return self._answer(done.stdout, done.stderr)

    def _run(self, command: list[str], sent: Any, seconds: float) -> Any:
        try:
            done = subprocess.run(
                command,
                stdin=sent,
                capture_output=True,
                timeout=seconds,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Gone(f"{self.name} did not answer within {seconds:.0f} s.") from None
        except OSError as error:
            raise DeviceError(f"ssh does not start: {error}. Install OpenSSH's client.") from error
        if done.returncode == _FAILED:
            raise explained(self.address, done.stderr)
        return done

    def _answer(self, said: bytes, errors: bytes = b"") -> Mapping[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(said)
        except ValueError:
            told = (errors or said).decode(errors="replace").strip()[-400:]
            raise DeviceError(f"{self.name} answered in other words than ours: {told}") from None
        if "error" in answer:
            raise DeviceError(f"{self.name}: {answer['error']}.")
        return answer

    def _words(self, order: Mapping[str, Any]) -> list[str]:
        assert self._connection is not None
        return self._connection.words(_command(self._python, order))


def _path(python: str) -> str:
    """A login begins in the home folder; quoted, ~ would be a name."""
    if python.startswith("-") or "\n" in python:
        raise ConfigError(f"device.python: found {python!r}, expected a path or a program's name.")
    return python.removeprefix("~/")


def _command(python: str, order: Mapping[str, Any]) -> str:
    """For any shell: but for `python` it has only letters, digits and + / = ( ) . ; in quotes.

    Python starts with its standard library alone (-ES), which takes a fraction of the time.
    """
    told = base64.b64encode(json.dumps(order).encode()).decode()
    program = f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{_porter()}")))'
    return f"{shlex.quote(python)} -ES -c '{program}' {told}"


@cache
def _porter() -> str:
    source = Path(__file__).with_name("porter.py").read_bytes()
    return base64.b64encode(zlib.compress(source)).decode()
