"""This end of the line to a measuring agent: asks, waits, and starts it again when it dies."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from typing import IO, Any

from orchestrator.errors import DeviceError

__all__ = ["AgentDied", "AgentLink", "AgentRefused"]

# The runtime's import is most of it; minutes on a machine that is short of memory.
_OPEN_SECONDS = 120.0
_LAST_WORDS = 400


class AgentDied(DeviceError):
    """The agent ended, or did not answer in time and was ended."""


class AgentRefused(Exception):
    """The agent's own words.

    `file` is the number of the file that they are about, if of one, `missing` the module that the
    Python there lacks, if that is why, `opening` the name of the loader that was being opened.
    """

    opening: str = ""

    def __init__(self, message: str, file: int | None, missing: str | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.missing = missing


class AgentLink:
    """An agent that is started when it is first asked.

    `start` gets a file for the process's standard error and gives the process; each of `openings`
    names a loader and its options, with a name where there are several, and is said again after
    each start.
    """

    def __init__(
        self, start: Callable[[IO[bytes]], subprocess.Popen[bytes]], *openings: Mapping[str, Any]
    ) -> None:
        self._start = start
        self._openings = [{"op": "open", **opening} for opening in openings]
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: dict[str, dict[str, str]] = {}

    def facts(self, name: str = "") -> dict[str, str]:
        """What the machine and a runtime there are; raises AgentDied or AgentRefused."""
        self._alive()
        return dict(self._facts[name])

    def ask(self, request: Mapping[str, Any], *, doing: str, seconds: float) -> Any:
        """The answer. An agent that dies of it, or takes longer, is started and asked once more.

        Raises AgentDied after the second time and AgentRefused; `doing` says what it was asked
        for, in words for the message.
        """
        try:
            return self._exchange(self._alive(), request, doing, seconds)
        except AgentDied:
            self.close()
        try:
            return self._exchange(self._alive(), request, doing, seconds)
        except AgentDied as again:
            self.close()
            raise AgentDied(f"{again} It was the second time.") from again

    def close(self) -> None:
        """End the agent; it is started anew when asked again."""
        if self._process is not None:
            self._end()
            self._process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        try:
            process = self._start(self._errors)
        except OSError as error:
            self._errors.close()
            raise DeviceError(f"the measuring agent does not start: {error}") from error
        self._process = process
        self._end = weakref.finalize(self, _end, process, self._errors)
        try:
            for opening in self._openings:
                name = opening.get("name", "")
                self._facts[name] = self._opened(process, opening, name)
        except BaseException:
            self.close()
            raise
        return process

    def _opened(
        self, process: subprocess.Popen[bytes], opening: Mapping[str, Any], name: str
    ) -> dict[str, str]:
        try:
            facts: dict[str, str] = self._exchange(process, opening, "starting", _OPEN_SECONDS)
        except AgentRefused as refusal:
            refusal.opening = name
            raise
        return facts

    def _exchange(
        self, process: subprocess.Popen[bytes], request: Mapping[str, Any], doing: str, limit: float
    ) -> Any:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._death(process, doing) from None
        line = _line(process, time.monotonic() + limit)
        if line is None:
            process.kill()
            text = f"the measuring agent did not answer within {limit:.0f} s while {doing}."
            raise AgentDied(text)
        if not line:
            raise self._death(process, doing)
        answer = json.loads(line)
        if "error" in answer:
            raise AgentRefused(answer["error"], answer["file"], answer.get("missing"))
        return answer["answer"]

    def _death(self, process: subprocess.Popen[bytes], doing: str) -> AgentDied:
        status = process.wait()
        ended = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-_LAST_WORDS:]
        said = f" Its last words: {words}" if words else ""
        return AgentDied(f"the measuring agent ended {ended} while {doing}.{said}")


def _line(process: subprocess.Popen[bytes], end: float) -> bytes | None:
    """The next line; empty where the process ended, None where the time did."""
    assert process.stdout is not None
    found = b""
    while not found.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return b""
        found += piece
    return found


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.communicate()
    errors.close()
