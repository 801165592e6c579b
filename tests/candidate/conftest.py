"""What tests of finalists' folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from whole_files import WholePlugin

from orchestrator.plugins import installed


@pytest.fixture
def whole() -> Iterator[None]:
    """Devices and compressors whose files may be moved, offered as an installed plugin would."""
    plugins = installed()
    plugins.register(WholePlugin(), "whole", "whole")
    yield
    plugins.manager.unregister(name="whole")
    del plugins.packages["whole"]
