"""The trained weights that spaces list, by name; and which of them a configuration means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contracts import Checkpoint, SearchSpace
from orchestrator.errors import ConfigError, closest
from orchestrator.plugins import Plugins
from orchestrator.pretrained.reading import SUFFIXES

__all__ = ["FULL", "TRAINED", "Listed", "all_listed", "find", "listed_by", "matching"]

# The only preset with published networks.
FULL = "full"
# What `weights` says for those that the search trains itself, before all else.
TRAINED = "trained"


@dataclass(frozen=True)
class Listed:
    """A checkpoint and the space that lists it, by a short name."""

    family: str
    tag: str
    checkpoint: Checkpoint

    @property
    def name(self) -> str:
        """As `weights=` takes it."""
        return f"{self.family}/{self.tag}"


def listed_by(space: SearchSpace) -> list[Listed]:
    """What a space lists, the one to prefer first."""
    return [Listed(space.name, tag, found) for tag, found in space.pretrained().items()]


def all_listed(plugins: Plugins) -> list[Listed]:
    """What every installed space lists; one that breaks lists nothing, and is a problem."""

    def ask(family: str) -> list[Listed]:
        if FULL not in plugins.resolve("space", family).presets:
            return []
        return listed_by(plugins.create("space", family, {"preset": FULL}))

    return [entry for found in plugins.each("space", ask).values() for entry in found]


def matching(parts: Sequence[str], plugins: Plugins) -> list[Listed]:
    """Those whose name holds one of `parts`, or all; ConfigError for a part that none holds."""
    entries = all_listed(plugins)
    for part in parts:
        if not any(part.lower() in entry.name.lower() for entry in entries):
            names = {entry.name for entry in entries} | {entry.family for entry in entries}
            raise ConfigError(f"no weights have {part!r} in their name; {closest(part, names)}")
    kept = [e for e in entries if any(part.lower() in e.name.lower() for part in parts)]
    return kept if parts else entries


def find(weights: str, space: SearchSpace) -> Listed:
    """Which of the space's checkpoints "auto", "family/tag" or "tag" means; raises ConfigError."""
    entries = {entry.tag: entry for entry in listed_by(space)}
    if Path(weights).suffix in SUFFIXES:
        raise ConfigError(f"weights={weights}: no such file. Give the path of one that is there.")
    if not entries:
        raise ConfigError(_none_listed(weights, space))
    if weights == "auto":
        return _preferred(list(entries.values()), space)
    family, slash, rest = weights.partition("/")
    tag = rest if slash and family == space.name else weights
    if tag in entries:
        return entries[tag]
    if slash and family != space.name:
        raise ConfigError(
            f"weights={weights}: the space is {space.name}, and no file or folder is called so. "
            f"Choose one of its own, or another space; {closest(weights, _names(entries.values()))}"
        )
    text = closest(tag, [*entries, *_names(entries.values())])
    raise ConfigError(
        f"weights={weights}: {space.name} lists no such name, and no file or folder is called so; "
        f"{text} `python -m orchestrator weights` lists all."
    )


def _preferred(entries: Sequence[Listed], space: SearchSpace) -> Listed:
    exact = [entry for entry in entries if entry.checkpoint.exact]
    if not exact:
        raise ConfigError(
            f"weights=auto: of what {space.name} lists nothing gives the very answers it was "
            f"released with. Name one all the same ({', '.join(_names(entries))}), or leave "
            "weights=null."
        )
    return exact[0]


def _names(entries: Iterable[Listed]) -> list[str]:
    return [entry.name for entry in entries]


def _none_listed(weights: str, space: SearchSpace) -> str:
    if FULL in space.presets and space.preset != FULL:
        return (
            f"weights={weights}: published weights are of networks of full size, found "
            f"space.preset={space.preset}. Add space.preset={FULL}, or give the path of a file or "
            "of a bundle of your own, or leave weights=null."
        )
    return (
        f"weights={weights}: {space.name} lists no trained weights. Give the path of a "
        ".safetensors or .pth file or of a bundle, or leave weights=null."
    )
