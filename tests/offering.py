"""A plugin of a test's own, offered as an installed one would be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.plugins import Plugins, installed

__all__ = ["offering"]


@contextmanager
def offering(plugin: object, name: str) -> Iterator[Plugins]:
    """While open, all that is installed and `plugin`, of a package of the same name."""
    plugins = installed()
    plugins.register(plugin, name, name)
    try:
        yield plugins
    finally:
        plugins.manager.unregister(name=name)
        del plugins.packages[name]
