"""A finalist's folder: written whole or not at all, rebuilt without pickle, verified."""

from orchestrator.bundle.facts import (
    EXACT,
    artifact_of,
    genotype_of,
    is_bundle,
    read_facts,
    start_of,
)
from orchestrator.bundle.rebuilding import rebuild
from orchestrator.bundle.verifying import Verification, verify
from orchestrator.bundle.writing import BundleContents, check_images, write_bundle

__all__ = [
    "EXACT",
    "BundleContents",
    "Verification",
    "artifact_of",
    "check_images",
    "genotype_of",
    "is_bundle",
    "read_facts",
    "rebuild",
    "start_of",
    "verify",
    "write_bundle",
]
