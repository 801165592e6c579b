"""Pytest fixtures for plugin authors.

In the `conftest.py` beside your tests:

    pytest_plugins = ["orchestrator.testing.fixtures"]

and a study is three lines:

    def test_my_observer_hears_everything(quick_study, tabulated_space):
        study = quick_study(tabulated_space, tabulated_space.figures, watchers=[my_plugin])
        assert my_plugin.heard == len(study.records)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orchestrator.contracts.space import SearchSpace
    from orchestrator.testing.quick import Figures, QuickStudy
    from orchestrator.testing.toys import TabulatedSpace, ToySpace

__all__ = ["quick_study", "tabulated_space", "toy_space"]


@pytest.fixture
def toy_space() -> ToySpace:
    """16 real networks of a few linear layers: for compressors, objectives and estimators."""
    from orchestrator.testing.toys import ToySpace

    return ToySpace()


@pytest.fixture
def tabulated_space() -> TabulatedSpace:
    """4,680 networks whose `figures` are known: for samplers and observers."""
    from orchestrator.testing.toys import TabulatedSpace

    return TabulatedSpace()


@pytest.fixture
def quick_study(tmp_path: Path) -> Callable[..., QuickStudy]:
    """`quick_study(space, figures, **settings)`: a search of milliseconds a candidate.

    Proposer, journal and hooks are the real ones; `figures(genotype)` stands for everything that
    is dear. Settings are those of `orchestrator.testing.quick.QuickSearch`. Called twice in one
    test with the same space, the second goes on where the first stopped.
    """
    from orchestrator.testing.quick import QuickSearch, search_quickly

    def study(space: SearchSpace, figures: Figures, **settings: Any) -> QuickStudy:
        folder = tmp_path / f"quick_{space.name}"
        folder.mkdir(exist_ok=True)
        return search_quickly(space, figures, folder, QuickSearch(**settings))

    return study
