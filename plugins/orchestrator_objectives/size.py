"""The size of the file that a device executes."""

from __future__ import annotations

from typing import ClassVar

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError

__all__ = ["FileSize"]


class FileSize(Objective):
    """Bytes of the compiled file, weights and graph together."""

    name = "size_bytes"
    unit = "bytes"
    direction = "minimize"
    tier = "deployed"
    summary: ClassVar[str] = "size of the shipped file, after compression"

    def measure(self, subject: Subject) -> float:
        """The file's size; raises CandidateError without a file."""
        if subject.artifact is None:
            raise CandidateError("there is no compiled file to weigh; compile the network first.")
        return float(subject.artifact.size_bytes)
