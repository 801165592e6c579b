"""Which plugin is to blame for what nobody meant to happen, told with its package and contract.

Plugins are tried before a search is paid for. What one raises later leaves by one door, where
`culprit` finds it; what one answers is looked at by `answered` where it comes in.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from types import FrameType
from typing import Any, TypeVar

from orchestrator.contracts._fulfilment import CONTRACTS, contract_of
from orchestrator.errors import PluginError, words_of

__all__ = ["answered", "culprit", "texts_by_name"]

T = TypeVar("T")


def answered(made: Any, method: str, answer: T, *, fits: bool, expected: str) -> T:
    """The answer of a plugin's method; raises PluginError, naming its contract, unless it fits."""
    if fits:
        return answer
    raise _broken(made, f"{method} gave {answer!r}, expected {expected}")


def texts_by_name(made: Any, method: str, told: Any, expected: str) -> dict[str, str]:
    """The same of a method that answers with texts by their names."""
    fits = isinstance(told, Mapping) and all(isinstance(t, str) for kv in told.items() for t in kv)
    return dict(answered(made, method, told, fits=fits, expected=expected))


def culprit(error: BaseException, ours: Collection[str]) -> PluginError | None:
    """What to say of an error that a third party's plugin raised; None where it was none's.

    That of a package of `ours` is ours to mend, and needs all of its traceback.
    """
    roots = {name.partition(".")[0] for name in ours} | {__name__.partition(".")[0]}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        made = frame.f_locals.get("self")
        if isinstance(made, tuple(CONTRACTS.values())) and _package(made) not in roots:
            place = f"{frame.f_code.co_filename}, line {line}"
            said = f"{type(error).__name__}({words_of(error)!r})"
            return _broken(made, f"{_method(made, frame)} raised {said} at {place}")
    return None


def _package(made: Any) -> str:
    return type(made).__module__.partition(".")[0]


def _method(made: Any, frame: FrameType | None) -> str:
    """The contract's method that was asked, whatever of its own it called that broke."""
    kinds = [kind for kind in CONTRACTS.values() if isinstance(made, kind)]
    broke = frame.f_code.co_name if frame else ""
    while frame is not None and frame.f_locals.get("self") is made:
        if any(hasattr(kind, frame.f_code.co_name) for kind in kinds):
            return frame.f_code.co_name
        frame = frame.f_back
    return broke


def _broken(made: Any, what: str) -> PluginError:
    family = next(family for family, kind in CONTRACTS.items() if isinstance(made, kind))
    kind, package = type(made), _package(made)
    return PluginError(
        f"{family} {getattr(made, 'name', '')!r} of {package} ({kind.__module__}:"
        f"{kind.__qualname__}) breaks the contract {contract_of(family)}: {what}. Report it to "
        "whoever made the package, or leave it out."
    )
