"""A place: where a runtime's files are executed, such as this machine."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar

from orchestrator.errors import DeviceError
from orchestrator.measuring import agent

__all__ = ["HERE", "Here", "Place"]


class Place(ABC):
    """A machine that files can be brought to and that an agent can be started on.

    What the machine is, the agent says itself (see `orchestrator.measuring.agent`).
    """

    # Two places of one name are the same one.
    name: str
    # Whether measuring there must wait until our trainings on this machine pause.
    shares_host: bool = False
    # The longest that one session of measuring may take: of networks of a second a call on a
    # machine that is busy with other things, by default.
    seconds: float = 600.0

    # The runtime's own benchmark program, a file here, where that is run instead of an agent.
    program: Path | None = None

    # The program that measures: it needs nothing but Python 3.8.
    agent: ClassVar[Path] = Path(agent.__file__)

    @abstractmethod
    def put(self, files: Sequence[Path], *, keep: bool = False) -> str:
        """Bring files there, side by side under their own names; the first one's path there.

        `keep` says that later searches will want them too. Raises DeviceError, saying what to do.
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

    def execute(self, words: Sequence[str]) -> str:
        """Run `program` there with these arguments; all that it printed.

        Raises CompileError where it fails, and DeviceError. Asked only where there is a program.
        """
        raise DeviceError(f"place {self.name!r} lacks a method, as it has a program: execute.")

    def facts(self) -> Mapping[str, str]:
        """What a latency depends on, where there is a program and no agent to tell."""
        return {}

    def pip(self, packages: Sequence[str]) -> str:
        """The line that installs packages for the agent's Python, to be typed there."""
        return f"pip install {' '.join(packages)}"

    def close(self) -> None:
        """End what was started and remove what was put there, but for what is kept.

        The place may be used again afterwards.
        """
        return


class Here(Place):
    """This machine, by the very Python that runs the search."""

    name = "here"
    shares_host = True

    def put(self, files: Sequence[Path], *, keep: bool = False) -> str:
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
