"""Which channels of shared weights a narrower ShuffleNetV2 uses (see `blocks/channel_order.py`)."""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator import Part
from orchestrator_spaces.blocks.channel_order import ChannelOrder, alike

__all__ = ["shared_part"]

# Of each layer of a path what its outputs and its inputs are: the path's own, or in its middle.
# What a depthwise convolution has but one of is told by "".
PATHS: dict[str, tuple[tuple[str, str], ...]] = {
    "shortcut": (("input", ""), ("output", "input")),
    "shuffle": (("middle", "input"), ("middle", ""), ("output", "middle")),
    "xception": (
        ("input", ""),
        ("middle", "input"),
        ("middle", ""),
        ("middle", "middle"),
        ("middle", ""),
        ("output", "middle"),
    ),
}
LAYER = re.compile(
    r"stages\.\d+\.(?P<kind>chunks|turns)(?P<stem>_stem)?(?P<widths>\d+of\d+)?\."
    r"(?:entry|units\.(?P<unit>\d+))\..*?(?P<path>shortcut|shuffle|xception)\.(?P<layer>\d)\."
)
# Two widths, of the shared tensor's dimension and of the part wanted → which entries.
Choice = Callable[[int, int], tuple[int, ...]]


def shared_part(
    name: str, full: tuple[int, ...], wanted: tuple[int, ...]
) -> tuple[Part, ...] | None:
    """As `SearchSpace.share`; None for what is not told by pairs of channels."""
    if full == wanted:
        return None
    if last := re.fullmatch(r"last\.(chunks|turns)\.conv\.weight", name):
        return (slice(0, wanted[0]), _slots(last[1])(full[1], wanted[1]), *_kernel(full, wanted))
    found = LAYER.match(name)
    if not found or found["widths"]:
        return None
    choices = _choices(found)
    roles = PATHS[found["path"]][int(found["layer"])]
    parts: list[Part] = []
    for axis in range(min(2, len(full))):
        choice = choices.get(roles[axis])
        whole, part = full[axis], wanted[axis]
        parts.append(choice(whole, part) if choice and part < whole else slice(0, part))
    return (*parts, *_kernel(full, wanted))


def _choices(found: re.Match[str]) -> dict[str, Choice]:
    """Input and output of a path; its middle is told by nothing and takes leading channels."""
    kind = found["kind"]
    if found["unit"]:
        both = _changed(kind, int(found["unit"]))
        return {"input": both, "output": both}
    output = _shortcut(kind) if found["path"] == "shortcut" else _branch(kind)
    return {"output": output} if found["stem"] else {"output": output, "input": _slots(kind)}


def _orders(kind: str, full: int, wanted: int) -> tuple[ChannelOrder, ChannelOrder]:
    return ChannelOrder(kind, full), ChannelOrder(kind, wanted)


def _slots(kind: str) -> Choice:
    """All channels of a stage, by slots."""

    def choice(full: int, wanted: int) -> tuple[int, ...]:
        wide, narrow = _orders(kind, full, wanted)
        slots = [0] * wanted
        for pair, match in enumerate(alike(wide, narrow)):
            slots[narrow.slot(pair)] = wide.slot(match)
            slots[wanted - 1 - narrow.slot(pair)] = full - 1 - wide.slot(match)
        return tuple(slots)

    return choice


def _shortcut(kind: str) -> Choice:
    """What a stage's first unit makes of its input."""
    return lambda full, wanted: alike(*_orders(kind, 2 * full, 2 * wanted))


def _branch(kind: str) -> Choice:
    """What its branch gives: the partners of the shortcut's channels, last ones first."""

    def choice(full: int, wanted: int) -> tuple[int, ...]:
        return tuple(full - 1 - match for match in reversed(_shortcut(kind)(full, wanted)))

    return choice


def _changed(kind: str, unit: int) -> Choice:
    """What a later unit changes."""

    def choice(full: int, wanted: int) -> tuple[int, ...]:
        wide, narrow = _orders(kind, 2 * full, 2 * wanted)
        places = {pair: place for place, pair in enumerate(wide.changed(unit))}
        matches = alike(wide, narrow)
        return tuple(places[matches[pair]] for pair in narrow.changed(unit))

    return choice


def _kernel(full: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[slice, ...]:
    """The centre."""
    starts = [(long - short) // 2 for long, short in zip(full[2:], wanted[2:], strict=True)]
    return tuple(
        slice(start, start + short) for start, short in zip(starts, wanted[2:], strict=True)
    )
