"""Passwords in addresses are told nowhere, and kept where their owner alone can read them."""

from __future__ import annotations

import json

import pytest

from orchestrator.config import check_config
from orchestrator.errors import ConfigError
from orchestrator.faults.masking import masked, masked_values, secrets_of, unmasked_values
from orchestrator.faults.printable import printable

SECRET = "S3cr3t"
URI = f"http://me:{SECRET}@127.0.0.1:9/x?token={SECRET}&page=2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (URI, "http://***@127.0.0.1:9/x?token=***&page=2"),
        (f"postgresql+psycopg2://me:{SECRET}@db/x", "postgresql+psycopg2://***@db/x"),
        (f"https://{SECRET}@host", "https://***@host"),
        (f"http://me:a@b{SECRET}@host/p@q", "http://***@host/p@q"),
        (f"tracking.uri='http://me:{SECRET}@h'", "tracking.uri='http://***@h'"),
        (f"two: http://a:{SECRET}@h and ftp://b:{SECRET}@i", "two: http://***@h and ftp://***@i"),
        ("https://host/user@mail?page=1", "https://host/user@mail?page=1"),
        ("latency_ms@pi, objective@x", "latency_ms@pi, objective@x"),
    ],
)
def test_what_stands_before_a_host_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert printable(text) == shown


def test_values_are_masked_and_come_back_by_what_was_kept() -> None:
    values = {"tracking": {"uri": URI}, "list": [1, URI], "none": None}
    secrets = secrets_of(values)
    assert SECRET not in json.dumps(masked_values(values))
    assert unmasked_values(masked_values(values), secrets) == values
    changed = {"tracking": {"uri": "http://***@elsewhere"}}
    assert unmasked_values(changed, secrets) == changed


def test_a_wrong_address_is_told_without_it() -> None:
    wrong = {"space": {"name": "x"}, "device": {"name": "x"}, "objective": {"a": {"name": "a"}}}
    with pytest.raises(ConfigError, match=r"tracking\.uri") as caught:
        check_config({**wrong, "tracking": {"uri": f"foo://me:{SECRET}@bar"}})
    assert SECRET not in str(caught.value)
