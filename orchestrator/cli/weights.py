"""The trained weights that spaces list: shown, and fetched where that is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestrator.analysis.display import MISSING, human, marked
from orchestrator.cli.terminal import Terminal, figure_table
from orchestrator.errors import ConfigError, closest
from orchestrator.plugins import installed
from orchestrator.pretrained.fetching import Fetched, fetch, weights_cache
from orchestrator.pretrained.listing import Listed, all_listed, matching
from orchestrator.pretrained.prospect import Prospect, prospect_of

__all__ = ["fetch_weights", "list_weights"]

_COLUMNS = ("weights", "network", "size", "licence", "trained on", "function", "top-1", "at hand")


def list_weights(parts: Sequence[str], *, as_json: bool) -> None:
    """Print what is listed under a name that holds one of `parts`, or all; asks no network."""
    found = [prospect_of(listed) for listed in matching(parts, installed())]
    if as_json:
        print(json.dumps([entry.to_json() for entry in found], indent=1))
        return
    Terminal().out.print(figure_table([_shown(entry) for entry in found], _COLUMNS))
    here = sum(entry.at_hand for entry in found)
    print(f"Listed: {len(found)}, at hand: {here}. Fetched ones lie in {weights_cache()}.")


def fetch_weights(name: str, *, as_json: bool) -> None:
    """Fetch one into the cache, unless it is at hand, and print where it lies.

    Raises ConfigError for a name that nobody lists, and WeightsError.
    """
    listed = _named(name)
    with Terminal().working(f"fetching {listed.name}"):
        found = fetch(listed)
    if as_json:
        told = {"path": str(found.path), "sha256": found.sha256, "source": found.source}
        print(json.dumps({"name": listed.name, **told}))
        return
    print(f"{listed.name}: {found.path}, from {found.source}")
    print(f"sha256 {found.sha256}{_checked(listed, found)}")
    print(f"licence {marked(listed.checkpoint.licence)}; data: {listed.checkpoint.data}")


def _named(name: str) -> Listed:
    entries = {listed.name: listed for listed in all_listed(installed())}
    if name not in entries:
        raise ConfigError(f"no weights are called {name!r}; {closest(name, entries)}")
    return entries[name]


def _checked(listed: Listed, found: Fetched) -> str:
    told = listed.checkpoint.sha256
    if not told:
        return " (not checked: no sha256 is listed for it)"
    whole = "as" if len(told) == len(found.sha256) else f"its first {len(told)} digits as"
    return f" ({whole} its publisher tells)"


def _shown(entry: Prospect) -> dict[str, str]:
    cells = (
        entry.name,
        entry.member,
        human(entry.bytes, "bytes") if entry.bytes else MISSING,
        marked(entry.licence),
        marked(entry.data.partition(" (")[0]),
        "exact" if entry.exact else "near",
        MISSING if entry.top1_percent is None else human(entry.top1_percent / 100, "share"),
        "yes" if entry.at_hand else "no",
    )
    return dict(zip(_COLUMNS, cells, strict=True))
