"""Places where a device's runtime executes its files: this machine, another, a phone."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_places"]


@hookimpl
def orchestrator_places() -> Sequence[Offer]:
    """Each of them needs nothing but a program that this machine has."""
    return [
        Offer("here", "orchestrator:Here", "this machine"),
        Offer("ssh", "orchestrator_places.ssh:Ssh", "another machine, over OpenSSH"),
        Offer("adb", "orchestrator_places.adb:Adb", "an Android phone, over adb"),
    ]
