"""Stored forms: today's and the one before are read, another is one clear error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import RunError
from orchestrator.files import read_json, understood, write_json


def test_what_is_written_is_read_without_its_number(tmp_path: Path) -> None:
    path = tmp_path / "form.json"
    write_json(path, {"a": 1}, format=3)
    assert json.loads(path.read_text()) == {"format": 3, "a": 1}
    assert read_json(path, format=3) == {"a": 1}


def test_the_form_before_is_made_today_s(tmp_path: Path) -> None:
    def named(old: list[int]) -> Mapping[str, Any]:
        return {"entries": old}

    path = tmp_path / "form.json"
    write_json(path, [1, 2])
    assert read_json(path, format=1, before=named) == {"entries": [1, 2]}
    assert understood({"format": 4, "a": 1}, "it", format=5) == {"a": 1}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (3, "format 3, this version reads 1 and 2: a newer Orchestrator wrote it"),
        (0, "format 0, this version reads 1 and 2. Use the version"),
        ("two", "format 'two'"),
    ],
)
def test_another_form_is_named_with_the_file_and_both_numbers(
    tmp_path: Path, found: object, wanted: str
) -> None:
    path = tmp_path / "form.json"
    path.write_text(json.dumps({"format": found}))
    with pytest.raises(RunError, match=wanted) as caught:
        read_json(path, format=2)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_what_is_no_form_is_one_error_that_says_what_helps(tmp_path: Path, text: str) -> None:
    path = tmp_path / "form.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"form\.json"):
        read_json(path, format=1)


def test_a_missing_file_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone.json cannot be read.*Delete it"):
        read_json(tmp_path / "gone.json", format=1, mend="Delete it.")


def test_a_name_that_is_not_known_is_an_error_where_names_are_given() -> None:
    known = ("size", "mean")
    assert understood({"size": 1, "format": 2}, "it", format=2, fields=known) == {"size": 1}
    with pytest.raises(RunError, match="it tells of 'mood', which this version does not know"):
        understood({"size": 1, "mood": 2, "format": 2}, "it", format=2, fields=known)
