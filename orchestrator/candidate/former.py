"""A run's configuration with options that there were not yet when it began."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.config import Chosen, StudyConfig
from orchestrator.errors import PluginError
from orchestrator.plugins import Plugins

__all__ = ["as_it_began"]


def as_it_began(config: StudyConfig, plugins: Plugins) -> StudyConfig:
    """What the dataset did then for each option that the configuration does not have.

    Unchanged where the plugin is gone: a search is read without those that made it.
    """
    chosen = config.dataset
    try:
        former = plugins.resolve("dataset", chosen.name).former
    except (PluginError, AttributeError):
        return config
    return replace(config, dataset=Chosen(chosen.name, {**former, **chosen.options}))
