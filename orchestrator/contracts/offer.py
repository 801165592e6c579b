"""What a plugin's hook returns for each thing it offers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Offer"]


@dataclass(frozen=True)
class Offer:
    """A name and where its class is, so that nothing heavy is imported before it is chosen.

    `target` is "module:Class"; the class takes its options as keyword arguments with types and
    defaults, which are what the YAML of the same name may set. `needs` names the distributions
    that must be installed beside the plugin; `hint` says how ("pip install …").
    """

    name: str
    target: str
    summary: str
    needs: tuple[str, ...] = ()
    hint: str = ""
