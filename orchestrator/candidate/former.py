"""A run's configuration that means the same later and elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config import Chosen, StudyConfig
from orchestrator.errors import PluginError
from orchestrator.plugins import Plugins

__all__ = ["as_it_began", "with_absolute_paths"]


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


def with_absolute_paths(config: StudyConfig, plugins: Plugins) -> StudyConfig:
    """Paths of the dataset's options, of earlier runs, and of teachers that are folders here."""
    chosen = config.dataset
    paths = plugins.resolve("dataset", chosen.name).paths
    options = {
        name: _absolute(value) if name in paths and value and isinstance(value, str) else value
        for name, value in chosen.options.items()
    }
    teacher = config.teacher
    if isinstance(teacher, str):
        teacher = _folder(teacher)
    elif teacher is not None:
        teacher = tuple(map(_folder, teacher))
    history = tuple(map(_absolute, config.sampler.history))
    sampler = replace(config.sampler, history=history)
    return replace(config, dataset=Chosen(chosen.name, options), teacher=teacher, sampler=sampler)


def _absolute(path: Any) -> str:
    return str(Path(path).expanduser().absolute())


def _folder(told: str) -> str:
    """One that is none, as a factory and its file, is left as it is."""
    return _absolute(told) if Path(told).expanduser().is_dir() else told
