"""What the report is tested with: a made-up search, and one plain record."""

from __future__ import annotations

import pytest
from made_search import study

from orchestrator.records import Genotype, Record


@pytest.fixture(scope="session")
def search():
    return study()


@pytest.fixture(scope="session")
def plain_record():
    return Record(
        0,
        Genotype("toy", "small", {"width": 1}),
        "feasible",
        {"accuracy": 0.9},
        {"width": 1},
        curve=(0.5, 0.9),
        seconds=1.0,
    )
