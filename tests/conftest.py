"""What tests of several rooms share. Third parties' noise is silenced where it is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Idle threads that spin cost more than the work on a busy machine; set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Workers of Ray and command lines find the fakes of `toys`.
_HERE = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [_HERE, *filter(None, [os.environ.get("PYTHONPATH", "")])]
)


@pytest.fixture
def toys() -> Iterator[None]:
    """The fakes of `toys`, offered as an installed plugin would."""
    from toys import ToyDevice, ToyPlugin

    from orchestrator.plugins import installed

    plugins = installed()
    plugins.register(ToyPlugin(), "toys", "toys")
    ToyDevice.calls.clear()
    yield
    plugins.manager.unregister(name="toys")
    del plugins.packages["toys"]
