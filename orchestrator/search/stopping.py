"""Ctrl-C, SIGTERM and a closed terminal, in a way that no library in between can swallow."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from orchestrator.errors import Interrupted

__all__ = ["Stopping"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """While open, a signal raises KeyboardInterrupt in the main thread and is remembered.

    An interrupt that falls into a callback of compiled code, or into another library's cleaning
    up, is printed there and lost; what is remembered ends the search at its next step. An error
    that a library made of the interrupt leaves as KeyboardInterrupt too. Every command runs in
    one; a search opens another before Ray's start, and listens again after it.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # That is how nohup keeps a search from its terminal's end. An ignored SIGINT says no
            # more than that a script started it by "&": whoever sends one means to stop it.
            nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            heard = [number for number in _SIGNALS if not (nohup and number == signal.SIGHUP)]
            self._before = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked and isinstance(error, Exception) and not isinstance(error, Interrupted):
            raise KeyboardInterrupt from error

    def listen(self) -> None:
        """Hear the signals again where a library has taken them since."""
        for number in self._before:
            signal.signal(number, self._stop)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self.asked:
            raise KeyboardInterrupt

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt
