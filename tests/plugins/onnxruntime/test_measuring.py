from __future__ import annotations

import time

from orchestrator import interleave


def test_functions_take_turns_and_the_first_call_of_a_turn_is_not_timed() -> None:
    calls: list[str] = []

    timings = interleave(
        [lambda: calls.append("a"), lambda: calls.append("b")], rounds=3, warmups=1
    )

    assert "".join(calls) == "aabb" * 4
    assert [timing.runs for timing in timings] == [3, 3]


def test_a_slow_first_call_after_another_network_does_not_show() -> None:
    last = [""]

    def slow_after_others(name: str) -> None:
        if last[0] != name:
            time.sleep(0.02)
        last[0] = name

    timings = interleave(
        [lambda: slow_after_others("a"), lambda: slow_after_others("b")], rounds=3, warmups=1
    )

    assert all(timing.low_ms < 10 for timing in timings)
