"""What a process and its tasks take: seconds of CPU, and memory."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

__all__ = ["Cost", "cpu_seconds", "peak_bytes"]


@dataclass(frozen=True)
class Cost:
    """Of one task: seconds of CPU, and the most memory that its process had so far.

    Both are 0 where the task gave no answer.
    """

    cpu_seconds: float = 0.0
    memory_bytes: float = 0.0


def cpu_seconds() -> float:
    """Of this process and of those that it started and waited for, all threads."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_bytes() -> float:
    """Most memory that this process had so far."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
