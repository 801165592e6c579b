"""A place: where a runtime's files are executed, such as this machine."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

from orchestrator.measuring import agent

__all__ = ["HERE", "Here", "Place"]


class Place(ABC):
    """A machine that files can be brought to and that an agent can be started on.

    What the machine is, the agent says itself (see `orchestrator.measuring.agent`).
    """

    name: str
    # Whether measuring there must wait until our trainings on this machine pause.
    shares_host: bool = False

    # The program that measures: it needs nothing but Python 3.8.
    agent: ClassVar[Path] = Path(agent.__file__)

    @abstractmethod
    def put(self, files: Sequence[Path]) -> str:
        """Bring files there, side by side under their own names; the first one's path there.

        Raises DeviceError, saying what to do.
        """

    @abstractmethod
    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the agent there, its standard input and output as unbuffered pipes.

        Its standard error goes to `errors`. It ends when its input does. Raises OSError or
        DeviceError.
        """

    def check(self) -> None:
        """Raise DeviceError, saying what to do, if the place does not answer."""
        return


class Here(Place):
    """This machine, by the very Python that runs the search."""

    name = "here"
    shares_host = True

    def put(self, files: Sequence[Path]) -> str:
        """Where the first one is already."""
        return str(files[0].absolute())

    def start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """A process of its own, in which neither torch nor Ray keeps threads."""
        return subprocess.Popen(
            [sys.executable, str(self.agent)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for whoever asks
        )


HERE = Here()
