"""How a command ends that did not do what it was asked: in one sentence, with an exit status."""

from __future__ import annotations

from orchestrator.errors import Interrupted, OrchestratorError, RunError, UsageError, disk_trouble

__all__ = ["ending"]


def ending(error: BaseException) -> tuple[str, int] | None:
    """What to say of an error and the exit status; None for a fault of ours, whose place counts."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped.", Interrupted.exit_status
    # The machine's fault, wherever a command met it, and whatever a library made of it.
    trouble = None if isinstance(error, UsageError | OSError) else disk_trouble(error)
    if trouble is not None:
        return f"{trouble}. Free some disk space, then try again.", RunError.exit_status
    if isinstance(error, OrchestratorError):
        return str(error), error.exit_status
    if isinstance(error, OSError):
        return _told_of_disk(error), UsageError.exit_status
    return _told_of_plugin(error)


def _told_of_disk(error: OSError) -> str:
    """What the operating system says of a path, which whoever named it can mend."""
    # Of two the second is what somebody named, and the first what was to take its place.
    named = (each for each in (error.filename2, error.filename) if each is not None)
    return (
        f"{next(named, 'a file')} cannot be used: {error.strerror or error}. Name a path that can "
        "be read and written, on a disk with free space."
    )


def _told_of_plugin(error: BaseException) -> tuple[str, int] | None:
    from orchestrator.contracts._culprits import culprit
    from orchestrator.plugins import BUILT_IN

    blamed = culprit(error, BUILT_IN)
    return (str(blamed), blamed.exit_status) if blamed else None
