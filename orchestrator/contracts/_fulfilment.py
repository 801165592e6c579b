"""Whether what a plugin offers is what its family's contract says."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from orchestrator import contracts
from orchestrator.faults.typed import annotated, faults

__all__ = ["CONTRACTS", "contract_of", "lacking", "unlike"]

# Config group → what its members are. A sampler may also be a function that returns one.
CONTRACTS: Mapping[str, type] = {
    "space": contracts.SearchSpace,
    "dataset": contracts.Dataset,
    "objective": contracts.Objective,
    "compressor": contracts.Compressor,
    "device": contracts.Device,
    "place": contracts.Place,
    "task": contracts.Task,
    "estimator": contracts.Estimator,
    "sampler": contracts.Sampler,
}
_KINDS = (
    contracts.TrainingCompressor,
    contracts.NetworkCompressor,
    contracts.ArtifactCompressor,
)


def contract_of(family: str) -> str:
    """As plugins import it: "orchestrator.Objective"."""
    return f"orchestrator.{CONTRACTS[family].__name__}"


def unlike(family: str, found: Any) -> str:
    """Why something is no class of the family's contract; empty where it is one."""
    expected = f"a class of {contract_of(family)}"
    if family == "sampler" and not inspect.isclass(found):  # its product is looked at once made
        expected += ", one of Optuna's, or a function that returns one of either"
        return "" if callable(found) else f"found {found!r}, expected {expected}"
    if family != "sampler" and not _is_a(found, CONTRACTS[family]):
        return f"found {found!r}, expected {expected}"
    if family == "compressor" and not any(_is_a(found, kind) for kind in _KINDS):
        names = ", ".join(f"orchestrator.{kind.__name__}" for kind in _KINDS)
        return f"found {found!r}, expected a class of one of {names}"
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    return f"it lacks its methods {', '.join(missing)}" if missing else ""


def lacking(family: str, made: Any) -> str:
    """What an instance lacks, or has otherwise than its contract says; empty where all is right."""
    if family == "sampler":
        # One of ours or of Optuna's, which is not imported for the question.
        fits = isinstance(made, CONTRACTS["sampler"]) or hasattr(made, "sample_independent")
        return "" if fits else f"found {made!r}, expected a sampler of ours or of Optuna's"
    values = {}
    for name in annotated(CONTRACTS[family]):
        try:
            values[name] = getattr(made, name)
        except AttributeError:
            return f"it has no {name}"
        except Exception as error:
            return f"{name} raised {error!r}"
    found = faults(CONTRACTS[family], values, strict=False)
    if found or not isinstance(made, contracts.Dataset):
        return found[0] if found else ""
    try:
        made.facts.check()
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _is_a(found: Any, kind: type) -> bool:
    return inspect.isclass(found) and issubclass(found, kind)
