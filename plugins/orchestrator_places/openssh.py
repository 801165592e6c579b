"""Plain OpenSSH: its command line, one connection that others go through, and what it says."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.errors import ConfigError, DeviceError

__all__ = ["Address", "Connection", "Gone"]

_CONNECT_SECONDS, _ALIVE_SECONDS, _ALIVE_COUNT = 10, 5, 4
# A login that asks a slow directory takes seconds; the connection itself has its own limit.
_ANSWER_SECONDS = 60.0
_END_SECONDS = 4.0
# ssh parses hosts and users further (options, jump hosts, tokens), so only plain ones pass.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%:-]*|\[?[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\]?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]*")
_LAST_WORDS = 400


class Gone(DeviceError):
    """The machine does not answer, now."""


@dataclass(frozen=True)
class Address:
    """Whom to speak to, and with which key; checked when made.

    Raises ConfigError for what ssh would take for something else.
    """

    host: str
    user: str | None = None
    port: int | None = None
    key: str | None = None
    known_hosts: str | None = None

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ConfigError(
                f"device.host: found {self.host!r}, expected the name or address of a machine, "
                "such as raspberrypi.local."
            )
        if self.user is not None and not _USER.fullmatch(self.user):
            raise ConfigError(f"device.user: found {self.user!r}, expected the name of a user.")
        for option in ("key", "known_hosts"):
            path = getattr(self, option)
            if path is not None and not Path(path).expanduser().is_file():
                raise ConfigError(f"device.{option}: there is no file {path}.")
            if path is not None and re.search(r'["\n]', path):
                raise ConfigError(f"device.{option}: ssh reads no path with quotes, found {path}.")

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.user + '@' if self.user else ''}{self.host}{port}"

    @property
    def options(self) -> list[str]:
        """What holds of every call: asks nothing, checks the host's key, notices a dead host."""
        settings = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(_CONNECT_SECONDS),
            "ServerAliveInterval": str(_ALIVE_SECONDS),
            "ServerAliveCountMax": str(_ALIVE_COUNT),
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
            "LogLevel": "ERROR",
        }
        if self.known_hosts is not None:
            settings["UserKnownHostsFile"] = _quoted(self.known_hosts)
            settings["GlobalKnownHostsFile"] = "none"
        if self.key is not None:
            settings |= {"IdentityFile": _quoted(self.key), "IdentitiesOnly": "yes"}
        found = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        found += ["-p", str(self.port)] if self.port else []
        found += ["-l", self.user] if self.user else []
        return ["-T", *found]

    @property
    def by_hand(self) -> str:
        """What a person types to see for themselves."""
        words = ["ssh", *(["-p", str(self.port)] if self.port else [])]
        words += ["-i", self.key] if self.key else []
        known = self.known_hosts
        words += ["-o", f"UserKnownHostsFile={_quoted(known)}"] if known else []
        return shlex.join([*words, f"{self.user}@{self.host}" if self.user else self.host])


class Connection:
    """One connection, which holds while a command runs there; others go through it.

    The command's input is ours: it ends with this process, however that ends.
    """

    def __init__(self, address: Address, command: str) -> None:
        """Connect and wait for the command's first line, `said`. Raises DeviceError."""
        self.address = address
        # A socket's path has room for some hundred characters.
        short = "/tmp" if len(tempfile.gettempdir()) > 60 else None
        self._folder = tempfile.mkdtemp(prefix="orchestrator-ssh-", dir=short)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        words = [*_ssh(address, self._socket), "-o", "ControlMaster=yes", "--", address.host]
        self._process = _started([*words, command], self._errors)
        self._end = weakref.finalize(self, _end, self._process, self._folder, self._errors)
        try:
            self.said = self._first_line()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether others can go through it."""
        return self._process.poll() is None

    def words(self, command: str) -> list[str]:
        """The command line that runs another command there."""
        return words(self.address, command, self._socket)

    def close(self) -> None:
        """End the command's input, and with it the connection."""
        self._end()

    @property
    def _socket(self) -> str:
        return os.path.join(self._folder, "socket")

    def _first_line(self) -> bytes:
        assert self._process.stdout is not None
        end = time.monotonic() + _ANSWER_SECONDS
        found = b""
        while not found.endswith(b"\n"):
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise Gone(f"{self.address} said nothing within {_ANSWER_SECONDS:.0f} s.")
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                self._process.wait()
                self._errors.seek(0)
                raise explained(self.address, self._errors.read())
            found += piece
        return found


def words(address: Address, command: str, socket: str = "none") -> list[str]:
    """The command line that runs a command there, by a connection of its own or through one."""
    return [*_ssh(address, socket), "-o", "ControlMaster=no", "--", address.host, command]


def environment() -> dict[str, str]:
    """Ours, with messages in English."""
    return {**os.environ, "LC_ALL": "C"}


def explained(address: Address, printed: bytes) -> DeviceError:
    """What ssh said when it failed, and what to do about it."""
    text = printed.decode(errors="replace").strip()
    last = " ".join(text[-_LAST_WORDS:].split()) or "the connection ended"
    for pattern, kind, advice in _SAYINGS:
        if re.search(pattern, text):
            return kind(f"{address} {advice.format(address=address)} (ssh: {last})")
    return Gone(f"{address} does not answer as expected. Try: {address.by_hand} (ssh: {last})")


_SAYINGS: Sequence[tuple[str, type[DeviceError], str]] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        DeviceError,
        "shows another host key than the known one: it was set up anew, or somebody is in between. "
        "If you know why, forget the old one with ssh-keygen -R and connect once by hand: "
        "{address.by_hand}",
    ),
    (
        "Host key verification failed|host key is known",
        DeviceError,
        "has a host key that is not known here, which could be anybody's. Connect once by hand "
        "and compare it: {address.by_hand}",
    ),
    (
        "Permission denied|Too many authentication failures|UNPROTECTED PRIVATE KEY",
        DeviceError,
        "does not let us in with this key. Put it there with ssh-copy-id, add one that has a "
        "passphrase to the agent with ssh-add, or name another: device.key=FILE device.user=NAME.",
    ),
    (
        "Could not resolve hostname",
        Gone,
        "is not known by that name. Is device.host right?",
    ),
    (
        "refused|timed out|Timeout|No route to host|unreachable|closed by|reset by|Broken pipe|"
        "[Kk]ex_exchange",
        Gone,
        "does not answer. Is it on, awake and in this network, and does sshd listen there?",
    ),
)


def _ssh(address: Address, socket: str) -> list[str]:
    return ["ssh", *address.options, "-o", f"ControlPath={socket}"]


def _quoted(path: str) -> str:
    """As a value of ssh's configuration, where % begins a token and a space ends a path."""
    return '"{}"'.format(str(Path(path).expanduser().absolute()).replace("%", "%%"))


def _started(command: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for whoever asks
        )
    except OSError as error:
        errors.close()
        raise DeviceError(f"ssh does not start: {error}. Install OpenSSH's client.") from error


def _end(process: subprocess.Popen[bytes], folder: str, errors: IO[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    errors.close()
    shutil.rmtree(folder, ignore_errors=True)
