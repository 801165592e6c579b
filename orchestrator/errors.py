"""Every error Orchestrator raises on purpose, in one tree.

    OrchestratorError
    ├── UsageError            the user can mend it: exit status 2, one message, no traceback
    │   ├── ConfigError       a key, a value or a combination in the configuration
    │   │   └── BudgetError   a budget that nothing in the space can meet
    │   ├── DataError         a missing folder, an empty class, no readable image
    │   ├── WeightsError      trained weights that cannot be had, read or fitted
    │   ├── PluginError       an unknown name, a clash, a plugin that does not load
    │   └── RunError          a run's folder that cannot be read, locked or resumed
    ├── CandidateError        one candidate is lost, the search goes on
    │   ├── BuildError        its network cannot be built or run
    │   ├── SharingError      its weights do not fit those its space shares
    │   ├── TrainingError     its loss is not finite
    │   ├── CompressionError  a compressor refused it
    │   ├── CompileError      the device's runtime does not take it
    │   └── ParityError       the exported file is not the same function
    ├── DeviceError           a device does not answer or cannot measure
    └── Interrupted           Ctrl-C: what is known is on disk, exit status 130

Messages say what was found, what was expected and what to do next.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

__all__ = [
    "DISK_ERRORS",
    "BudgetError",
    "BuildError",
    "CandidateError",
    "CompileError",
    "CompressionError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Interrupted",
    "OrchestratorError",
    "ParityError",
    "PluginError",
    "RunError",
    "SharingError",
    "TrainingError",
    "UsageError",
    "WeightsError",
    "closest",
    "disk_trouble",
    "plural",
    "words_of",
]


# What the operating system says of a disk that takes no more.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
# What libraries that write files themselves make of it: words without a number.
_DISK_WORDS = ("No space left on device", "StorageFull", "Disk quota exceeded", "Read-only file s")


class OrchestratorError(Exception):
    """The root of the tree."""

    exit_status = 1


class UsageError(OrchestratorError):
    """Something the user can mend."""

    exit_status = 2


class ConfigError(UsageError):
    """A key, a value or a combination in the configuration."""


class BudgetError(ConfigError):
    """A budget that nothing in the space can meet."""


class DataError(UsageError):
    """A missing folder, an empty class, no readable image."""


class WeightsError(UsageError):
    """Trained weights to start from that cannot be had or read, or that do not fit."""


class PluginError(UsageError):
    """An unknown name, a clash of names, or a plugin that does not load."""


class RunError(UsageError):
    """A run's folder that cannot be read, locked or resumed."""


class CandidateError(OrchestratorError):
    """One candidate is lost; the search goes on."""


class BuildError(CandidateError):
    """A candidate's network cannot be built or run."""


class SharingError(CandidateError):
    """A network's weights do not fit those its space shares."""


class TrainingError(CandidateError):
    """A candidate's training went wrong, for example to a loss that is not finite."""


class CompressionError(CandidateError):
    """A compressor refused a candidate."""


class CompileError(CandidateError):
    """The device's runtime does not take a candidate."""


class ParityError(CandidateError):
    """An exported file is not the same function as its network."""


class DeviceError(OrchestratorError):
    """A device does not answer or cannot measure."""

    exit_status = 2


class Interrupted(OrchestratorError):
    """The user stopped the run; what is known is on disk."""

    exit_status = 130


def disk_trouble(error: BaseException | None) -> OSError | None:
    """The full or unwritable disk behind an error, however often it was wrapped; None without.

    Libraries that write by themselves, in C++ or Rust, tell it in words only.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        words = next((words for words in _DISK_WORDS if words in words_of(error)), None)
        if words is not None and not isinstance(error, OSError):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        error = error.__cause__ or error.__context__
    return None


def words_of(error: BaseException) -> str:
    """What an error says; its kind where it cannot say anything itself."""
    try:
        return str(error)
    except Exception:
        return f"an error of kind {type(error).__name__}, which cannot be told"


def plural(count: int, noun: str) -> str:
    """A number of things: "1 file", "1,200 images", "2 classes", "3 entries", "4 epochs"."""
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("och"):
        several = f"{noun}es"
    elif noun.endswith("y") and noun[-2] not in "aeo":
        several = f"{noun[:-1]}ies"
    else:
        several = f"{noun}s"
    return f"{count:,} {noun if count == 1 else several}"


# A list that is longer than this is not read.
_MOST_NAMES = 60


def closest(name: str, valid: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: a guess, if one is near, and what is valid.

    Of a very long list only the nearest names are told, and how many there are.
    """
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    if len(valid) > _MOST_NAMES:
        nearest = difflib.get_close_matches(name, valid, n=5, cutoff=0.0)
        return f"{guess}{len(valid)} are valid, the nearest are {', '.join(nearest)}."
    return f"{guess}Valid: {', '.join(valid) or 'none'}."
