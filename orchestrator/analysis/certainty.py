"""How far a share of counted images is known, and whether two of them can be told apart."""

from __future__ import annotations

import math

__all__ = ["differ", "wilson"]

# Of 20 samples, 19 lie within so many standard errors.
_CERTAIN = 1.96


def wilson(share: float, count: int) -> tuple[float, float]:
    """Between what a share of `count` images lies in 19 of 20 samples, both ends in [0, 1].

    Wilson's score interval (1927, doi 10.1080/01621459.1927.10502953).
    """
    z, n = _CERTAIN, max(1, count)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def differ(one: float, other: float, count: int) -> bool:
    """Whether two shares, of `count` images each, differ by more than chance explains.

    The interval of their difference, made of Wilson's two (Newcombe 1998, method 10), leaves out 0.
    It takes the images for different ones; both answered the same, so that of two networks that
    are mostly wrong about the same images it says rather too seldom that they differ.
    """
    low, high = sorted((one, other))
    _, low_end = wilson(low, count)
    high_end, _ = wilson(high, count)
    return high - low > math.hypot(high - high_end, low_end - low)
