"""What tests of finalists' folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from offering import offering
from whole_files import WholePlugin


@pytest.fixture
def whole() -> Iterator[None]:
    """Devices and compressors whose files may be moved, offered as an installed plugin would."""
    with offering(WholePlugin(), "whole"):
        yield
