from __future__ import annotations

import json

import pytest

from orchestrator.cli.commands import main


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
    assert "(not checked: publisher tells no sha256)" in capsys.readouterr().out
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
