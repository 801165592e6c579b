"""A finalist's folder: written whole or not at all, rebuilt without pickle, verified."""

from orchestrator.bundle.folder import (
    EXACT,
    BundleContents,
    Verification,
    read_facts,
    rebuild,
    verify,
    write_bundle,
)

__all__ = [
    "EXACT",
    "BundleContents",
    "Verification",
    "read_facts",
    "rebuild",
    "verify",
    "write_bundle",
]
