from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.search.cluster import Cluster, Resources


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Ray, started once for all tests of the room."""
    with Cluster(Resources(concurrent=2)) as running:
        yield running
