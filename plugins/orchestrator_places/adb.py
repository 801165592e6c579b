"""An Android phone over adb: by its Python, or by the runtime's own benchmark program."""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from orchestrator import Place
from orchestrator.errors import CompileError, ConfigError, DeviceError
from orchestrator_places.content import digest

__all__ = ["Adb"]

_SECONDS = 60.0
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_LAST_WORDS = 400
# A phone's own, and Termux's, which adb may run as where its build allows that (run-as).
_PYTHONS = (("python3",), ("run-as", "com.termux", "files/usr/bin/python3"))
_PROBE = 'import sys;print("python %d.%d" % sys.version_info[:2])'
_FACTS = (
    ("processor", "getprop ro.soc.model"),
    ("model", "getprop ro.product.model"),
    ("cores", "nproc"),
    ("machine", "uname -m"),
    ("system", "getprop ro.build.version.release"),
)
_SAYINGS: Sequence[tuple[str, str]] = (
    (
        r"unauthorized|authorizing",
        "has not allowed this machine yet. Unlock it and confirm the question about USB debugging.",
    ),
    (r"offline", "is offline. Plug it in again, or adb reconnect."),
    (r"more than one", "is one of several: say which, device.serial=SERIAL as adb devices lists."),
    (r"not found", "is not there under this serial; adb devices lists those that are."),
    (
        r"no devices|no device",
        "is not there. Plug it in with USB debugging switched on; adb devices lists what is.",
    ),
    (r"insufficient permissions|no permissions", "may not be used: see udev rules for its vendor."),
    (r"daemon|protocol fault", "cannot be asked, as adb's server does not run: adb start-server."),
)


class Adb(Place):
    """The phone that `serial` names, or the only one.

    With `binary`, the runtime's own benchmark program built for the phone, that is pushed and run.
    Without, the agent is, by `python`, a command there; by default by the phone's python3 or
    Termux's. `folder` is where files are put; those of a session are removed when it ends.
    """

    name = "adb"
    shares_host = False

    def __init__(
        self,
        *,
        serial: str | None = None,
        adb: str = "adb",
        python: str | None = None,
        binary: str | None = None,
        folder: str = "/data/local/tmp/orchestrator",
        limit_seconds: float = 600.0,
    ) -> None:
        if serial is not None and not _SERIAL.fullmatch(serial):
            raise ConfigError(f"device.serial: found {serial!r}, expected one of adb devices.")
        if binary is not None and not Path(binary).expanduser().is_file():
            raise ConfigError(f"device.binary: there is no file {binary}.")
        if python is not None and binary is not None:
            raise ConfigError("device.python and device.binary: found both, expected one of them.")
        self.name = f"adb {serial}" if serial else "adb"
        self.seconds = limit_seconds
        self.program = Path(binary).expanduser() if binary else None
        self._adb = [adb, *(["-s", serial] if serial else [])]
        self._pythons = (tuple(shlex.split(python)),) if python else _PYTHONS
        self._folder = folder
        self._forget()

    def _forget(self) -> None:
        self._session = posixpath.join(self._folder, f"run-{uuid.uuid4().hex[:12]}")
        self._python: tuple[str, ...] = ()
        self._brought: dict[str, tuple[Path, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """With a session of its own."""
        session = posixpath.join(self._folder, f"run-{uuid.uuid4().hex[:12]}")
        return {**self.__dict__, "_session": session, "_python": (), "_brought": {}}

    def check(self) -> None:
        """Ask the phone, and look for Python where that is needed; raises DeviceError."""
        self._asked(["get-state"])
        old = ["-maxdepth", "1", "-name", "run-*", "-mtime", "+1"]
        self._shell(["find", self._folder, *old, "-exec", "rm", "-rf", "{}", "+"])
        if self.program is None:
            self._found_python()

    def put(self, files: Sequence[Path], *, keep: bool = False) -> str:
        """Push files unless they are there, into a folder that is called as their content."""
        self._drop()
        base = posixpath.join(self._folder, "code") if keep else self._session
        folder = posixpath.join(base, digest(files))
        if folder not in self._brought:
            self._push(folder, files)
            self._brought[folder] = tuple(files)
        return posixpath.join(folder, files[0].name)

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """The agent, its line through adb's shell, without a terminal that would change it."""
        agent = self.put([self.agent], keep=True)
        command = shlex.join([*self._found_python(), agent])
        return subprocess.Popen(
            [*self._adb, "shell", "-T", command],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for whoever asks
        )

    def execute(self, words: Sequence[str]) -> str:
        """Run the benchmark program there; raises CompileError where it fails."""
        assert self.program is not None
        done = self._shell([self.put([self.program], keep=True), *words])
        printed = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode:
            last = " ".join(printed[-_LAST_WORDS:].split())
            text = f"{self.program.name} ended with status {done.returncode} on {self.name}: {last}"
            raise CompileError(text)
        return printed

    def facts(self) -> Mapping[str, str]:
        """What the phone says of itself, and which program measures."""
        assert self.program is not None
        told = {name: self._shell(shlex.split(command)).stdout for name, command in _FACTS}
        found = {name: text.decode(errors="replace").strip() for name, text in told.items()}
        return {**found, "program": f"{self.program.name} {digest([self.program])[:12]}"}

    def pip(self, packages: Sequence[str]) -> str:
        """In Termux, most often."""
        return f"python3 -m pip install {' '.join(packages)}"

    def close(self) -> None:
        """Remove the session's files, as far as the phone still answers."""
        if self._brought:
            with contextlib.suppress(DeviceError):  # the next check removes what is old
                self._shell(["rm", "-rf", self._session])
        self._forget()

    def _found_python(self) -> tuple[str, ...]:
        if self._python:
            return self._python
        for words in self._pythons:
            done = self._shell([*words, "-c", _PROBE])
            version = re.search(rb"python (\d+)\.(\d+)\s*$", done.stdout)
            if version and (int(version[1]), int(version[2])) >= (3, 8):
                self._python = words
                return words
        tried = ", ".join(map(shlex.join, self._pythons))
        raise DeviceError(
            f"{self.name} has no Python 3.8 or later (tried {tried}). Install Termux and there "
            "python, say how one is started, device.python=COMMAND, or name the runtime's own "
            "benchmark program built for the phone: device.binary=FILE."
        )

    def _push(self, folder: str, files: Sequence[Path]) -> None:
        """Into a folder of another name first, so that what has a name is whole."""
        if self._shell(["test", "-d", folder]).returncode == 0:
            return
        part = f"{folder}.{uuid.uuid4().hex[:8]}"
        self._told(["mkdir", "-p", part])
        for file in files:
            self._asked(["push", str(file), posixpath.join(part, file.name)])
        # Termux is another user there.
        self._told(["chmod", "-R", "755", part])
        self._told(["mv", part, folder])

    def _drop(self) -> None:
        """What lies there of files that are no more, as those of candidates that are measured."""
        gone = [f for f, files in self._brought.items() if not all(map(Path.is_file, files))]
        for folder in gone:
            del self._brought[folder]
        if gone:
            self._told(["rm", "-rf", *gone])

    def _told(self, words: Sequence[str]) -> None:
        done = self._shell(words)
        if done.returncode:
            text = (done.stdout + done.stderr).decode(errors="replace").strip()[-_LAST_WORDS:]
            raise DeviceError(f"{self.name}: {shlex.join(words)} failed: {text}")

    def _shell(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """adb hands one text to the shell there, so every word is quoted."""
        return self._run(["shell", "-T", shlex.join(words)], self.seconds)

    def _asked(self, words: Sequence[str]) -> None:
        done = self._run(words, max(_SECONDS, self.seconds))
        if done.returncode:
            raise self._explained(done.stderr + done.stdout)

    def _run(self, words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(
                [*self._adb, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{self.name} did not answer within {seconds:.0f} s.") from None
        except OSError as error:
            raise DeviceError(
                f"adb does not start: {error}. Install Android's platform tools (apt install adb), "
                "or say where it is: device.adb=PATH."
            ) from error
        if done.returncode and re.match(rb"(adb: |error: |\* )", done.stderr):
            raise self._explained(done.stderr)
        return done

    def _explained(self, printed: bytes) -> DeviceError:
        text = " ".join(printed.decode(errors="replace")[-_LAST_WORDS:].split())
        for pattern, advice in _SAYINGS:
            if re.search(pattern, text):
                return DeviceError(f"{self.name} {advice} (adb: {text})")
        return DeviceError(f"{self.name} does not do as it is told (adb: {text})")
