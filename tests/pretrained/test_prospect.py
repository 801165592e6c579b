from __future__ import annotations

from trained_space import HUB

from orchestrator.pretrained.fetching import fetch
from orchestrator.pretrained.listing import find
from orchestrator.pretrained.prospect import prospect


def test_a_plan_says_what_it_would_start_from_and_fetches_nothing(space, hub, cache) -> None:
    found = prospect("auto", space)
    assert not found.at_hand and found.source == f"{HUB}/sure.safetensors"
    assert "will be fetched from" in found.sentence and "⚠ unknown" in found.sentence
    assert any("under which licence" in warning for warning in found.warnings)
    assert hub == [] and not cache.exists()
    fetch(find("auto", space))
    assert "at hand" in prospect("auto", space).sentence


def test_what_is_only_near_to_the_released_function_is_warned_of(space, hub) -> None:
    (warning,) = prospect("near", space).warnings
    assert "only near" in warning
