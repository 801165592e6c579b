"""Figures and names as people read them, the same in the terminal, on cards and in the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.certainty import wilson
from orchestrator.errors import plural
from orchestrator.records import Credit, Latency

__all__ = [
    "MISSING",
    "about",
    "clock",
    "counted",
    "human",
    "interval",
    "label",
    "marked",
    "needs",
    "on_test",
    "timed",
    "unit_of",
]

MISSING = "–"

# A suffix of a name → its unit. Longer ones first where one ends like another.
_UNITS = {
    "_ms": "ms",
    "_seconds": "s",
    "_bytes": "bytes",
    "_mj": "mJ",
    "_percent": "%",
    "_share": "share",
    "_ratio": "×",
    "accuracy": "share",
    "agreement": "share",
    "robustness": "share",
    "top1": "share",
    "top5": "share",
    "iou": "share",
}
_WORDS = {
    "macs": "MACs",
    "params": "parameters",
    "top1": "top-1",
    "top5": "top-5",
    "miou": "mIoU",
    "iou": "IoU",
    "ms": "",
    "bytes": "",
}
# What is counted is in the name already, and a table's column stays narrow without it.
_SHORT = {"bytes": "B", "byte": "B"} | dict.fromkeys(
    ("count", "elements", "macs", "params", "parameters", "multiply-adds"), ""
)
_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def human(value: float, unit: str) -> str:
    """Three significant digits and the unit: "1.23 M", "4.6 ms", "312 kB", "98.1 %".

    `unit` "share" means a number in [0, 1] and is shown as a percentage; bytes and counts get
    decimal prefixes; a dash stands for what is not finite.
    """
    if not math.isfinite(value):
        return MISSING
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "ms" and abs(value) >= 1e4:
        return human(value / 1e3, "s")
    if unit == "s" and abs(value) >= 120:
        return _clock(value)
    return _scaled(value, _SHORT.get(unit.lower(), unit)).strip()


def marked(licence: str) -> str:
    """A licence as people are shown it: that nobody tells one is not to be overlooked."""
    return "⚠ unknown" if licence == Credit.UNKNOWN else licence


def interval(share: float, count: int) -> str:
    """A share of `count` images, and what it lies between in 19 of 20 samples: "9 % (8 to 11)"."""
    low, high = wilson(share, count)
    return f"{human(share, 'share')} ({100 * low:.1f} to {100 * high:.1f})"


def timed(latency: Latency) -> str:
    """A latency and from where to where it is known: "0.146 ms (0.145 to 0.151)"."""
    told = human(latency.ms, "ms")
    if latency.interval_ms is None or latency.ms >= 1e4:
        return told
    low, high = (_digits(end) for end in latency.interval_ms)
    return f"{told} ({low} to {high})"


def clock(latency: Latency) -> str:
    """What the clock said in the session that a latency is of."""
    least, median, high = (
        human(ms, "ms") for ms in (latency.low_ms, latency.median_ms, latency.high_ms)
    )
    return (
        f"least {least}, median {median}, 95 of 100 below {high} in {plural(latency.runs, 'run')}; "
        f"{latency.ratio:.3g} × the reference network"
    )


def on_test(figures: Mapping[str, Any], name: str) -> str:
    """A finalist's share on test, with its interval where the number of images tells one."""
    return counted(figures[name], figures.get("test_images"))


def counted(share: float, count: float | None) -> str:
    """A share with its interval, where it is known of how many images it is."""
    return interval(share, int(count)) if count else human(share, "share")


def needs(picks: Sequence[str], rivals: Mapping[str, Sequence[str]]) -> list[str]:
    """What a file is picked for, and which others figures do not tell from it."""
    alike = {need: ", ".join(names) for need, names in rivals.items() if names}
    return [
        f"{need} (not distinguishable from {alike[need]})" if need in alike else need
        for need in picks
    ]


def label(name: str) -> str:
    """A column's heading: "latency_fp32_ms" → "latency fp32", "latency_ms@pi" → "latency on pi"."""
    name, at, device = name.partition("@")
    if at:
        return f"{label(name)} on {device}"
    words = (_WORDS.get(word, word) for word in name.split("_"))
    return " ".join(word for word in words if word) or name


def unit_of(name: str) -> str:
    """The unit that a figure's name tells: "size_bytes" → "bytes"; "" for a plain count."""
    plain = name.partition("@")[0].removesuffix("_fp32")
    return next((unit for suffix, unit in _UNITS.items() if plain.endswith(suffix)), "")


def _scaled(value: float, unit: str) -> str:
    """A decimal prefix is chosen after rounding, so that 999 950 is 1 M and not 1000 k."""
    for step, prefix in _STEPS:
        if float(f"{abs(value):.3g}") >= step:
            return f"{_digits(value / step)} {prefix}{unit}"
    return f"{_digits(value)} {unit}"


def _digits(value: float) -> str:
    """Three significant digits without an exponent, where the size allows."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    if abs(value) >= 999.5:
        return f"{value:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def about(values: Sequence[float], unit: str) -> str:
    """What is expected of a cost, between its least and its most."""
    low, middle, high = (human(max(value, 1.0), unit) for value in values)
    return f"about {middle} ({low} to {high})"
