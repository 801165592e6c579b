from __future__ import annotations

import json
import subprocess

import pytest
from command_line import command

from orchestrator.cli.commands import main
from orchestrator.errors import closest


def test_listed_weights_are_shown_without_a_network(capsys, trained, offline) -> None:
    main(["weights", "trained"])
    printed = capsys.readouterr().out
    assert "trained/near" in printed and "MIT" in printed and "⚠ unknown" in printed
    assert "Listed: 2, at hand: 0" in printed


def test_as_json_every_figure_is_told(capsys, trained, offline) -> None:
    main(["weights", "trained/near", "--json"])
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["member"] == "8" and entry["licence"] == "MIT"
    assert entry["exact"] is False and entry["at_hand"] is False


def test_one_is_fetched_and_then_at_hand(capsys, trained, hub) -> None:
    main(["weights", "--fetch", "trained/near"])
    assert "(not checked: no sha256 is listed for it)" in capsys.readouterr().out
    main(["weights", "trained/near", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["at_hand"] is True
    main(["weights", "--fetch", "trained/sure"])
    assert "its first 10 digits as its publisher tells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trianed"], "no weights have 'trianed' in their name; did you mean 'trained'"),
        (["--fetch", "trained/sur"], "no weights are called 'trained/sur'; did you mean"),
        (["--fetch", "trained/sure"], "cannot be reached"),
    ],
)
def test_a_mistake_is_one_message(capsys, trained, offline, words, message) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["weights", *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said and said.startswith("orchestrator: ") and "\n" not in said


def test_of_many_names_only_the_nearest_are_told() -> None:
    told = closest("b71", [f"b{number}" for number in range(70)])
    assert "70 are valid" in told and "b1" in told and len(told) < 100


@pytest.mark.parametrize("words", [("weights",), ("weights", "--json")])
def test_a_reader_that_has_seen_enough_is_told_no_error(words: tuple[str, ...]) -> None:
    with subprocess.Popen(command(*words), stdout=-1, stderr=-1) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
