"""Keeps a folder for the measuring agent where it runs; works alone, with Python 3.8 or later.

Its text is sent to another machine's Python, with an order in base64: {"op": …} and arguments.

    hold   the session's folder, until standard input ends: then it is removed. Answers its place.
    put    files, which come over standard input behind a line that names them, into a folder; and
           drop others.
    has    which folders are there.
    start  the agent, in place of this process; one that ran before is ended.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Sequence
from typing import Any

_AGENT, _HOLDER = "agent.pid", "holder.pid"


class Refusal(Exception):
    """What whoever asked is told."""


def hold(root: str, session: str) -> None:
    """Make the session's folder below `root`, tell both, and remove it when the input ends.

    One that is held anew meanwhile, as after a lost connection, is left to its new holder.
    """
    root = os.path.abspath(os.path.expanduser(root))
    folder = os.path.join(root, session)
    for made in (root, os.path.join(root, "code"), folder):
        os.makedirs(made, mode=0o700, exist_ok=True)
        _refuse_strangers(made)
    _write(os.path.join(folder, _HOLDER), str(os.getpid()))
    _tell({"session": folder, "code": os.path.join(root, "code")})
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while sys.stdin.buffer.read(65536):
        pass
    if _read(os.path.join(folder, _HOLDER)) == str(os.getpid()):
        _end_agent(folder)
        shutil.rmtree(folder, ignore_errors=True)


def put(folder: str, drop: Sequence[str]) -> None:
    """Read names and sizes, then contents, into a new `folder`; one that is there is left."""
    for old in drop:
        shutil.rmtree(old, ignore_errors=True)
    files = json.loads(sys.stdin.buffer.readline())
    part = f"{folder}.{os.getpid()}"
    os.mkdir(part, 0o700)
    try:
        for name, size in files:
            _receive(os.path.join(part, os.path.basename(name)), size)
        os.rename(part, folder)
    except OSError:
        if not os.path.isdir(folder):  # else another brought the same
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _tell({})


def has(folders: Sequence[str]) -> None:
    """Tell which of the folders are there."""
    _tell({"has": [folder for folder in folders if os.path.isdir(folder)]})


def start(session: str, agent: str) -> None:
    """Become the agent."""
    _end_agent(session)
    _write(os.path.join(session, _AGENT), f"{os.getpid()} {agent}")
    os.execv(sys.executable, [sys.executable, agent])


def _receive(path: str, size: int) -> None:
    with open(path, "wb") as file:
        while size:
            piece = sys.stdin.buffer.read(min(size, 1 << 20))
            if not piece:
                raise Refusal("the line ended in the middle of a file")
            file.write(piece)
            size -= len(piece)


def _end_agent(session: str) -> None:
    """One that hangs does not notice that its input ended, and would spoil what is measured."""
    pid, _, agent = _read(os.path.join(session, _AGENT)).partition(" ")
    if not pid:
        return
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if agent.encode() in file.read():
                os.kill(int(pid), signal.SIGKILL)
    except OSError:  # it ended, or the system has no /proc to tell whether it is the agent's
        pass


def _refuse_strangers(folder: str) -> None:
    """What lies there is executed."""
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refusal(
            f"{folder} can be written by others; name a folder of your own as device.folder"
        )


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def obey() -> None:
    """Do what the last argument asks for; what goes wrong is answered."""
    order = json.loads(base64.b64decode(sys.argv[-1]))
    operation: Any = {"hold": hold, "put": put, "has": has, "start": start}[order.pop("op")]
    try:
        operation(**order)
    except (Refusal, OSError) as error:
        _tell({"error": str(error)})


if __name__ == "__main__":
    obey()
