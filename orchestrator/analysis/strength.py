"""The strongest of several settings that costs no more than is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["strongest"]

SettingT = TypeVar("SettingT")


def strongest(
    settings: Sequence[SettingT], reached: Callable[[SettingT], float], least: float
) -> SettingT | None:
    """The last of `settings`, the weakest first, whose `reached` is at least `least`, by bisection.

    None where not even the first reaches it. `reached(setting)` is the leading metric with that
    setting, which is taken to fall as settings get stronger; where it does not, the one found
    still reaches `least`, only a stronger one might too. Asks for about log2(n + 1) figures.
    """
    found: SettingT | None = None
    low, high = 0, len(settings)
    while low < high:
        middle = (low + high) // 2
        # Written so that NaN is too little.
        if reached(settings[middle]) >= least:
            found, low = settings[middle], middle + 1
        else:
            high = middle
    return found
