from __future__ import annotations

from typing import Any

import pytest

from orchestrator.cli.commands import compose
from orchestrator.config import StudyConfig, check_config, flat_config
from orchestrator.errors import ConfigError

SMALLEST: dict[str, Any] = {
    **{group: {"name": "x"} for group in ("space", "dataset", "device", "estimator", "sampler")},
    "objective": {"params": {"name": "params"}},
}


def check(**groups: Any) -> StudyConfig:
    return check_config({**SMALLEST, **groups})


@pytest.mark.parametrize("search", ["efficientformer", "mobilenetv3", "shufflenetv2"])
def test_a_configuration_survives_its_file(search: str) -> None:
    config = compose([f"+search={search}", "objective.params.max=1e6"])
    assert config.objective["params"].max == 1e6
    assert check_config(flat_config(config)) == config


def test_what_is_not_ours_goes_to_the_plugin() -> None:
    config = check(dataset={"name": "x", "root": "photos"})
    assert config.dataset.options == {"root": "photos"}
    limited = check(objective={"macs": {"name": "macs", "max": 3, "counter": "exact"}})
    assert limited.objective["macs"].max == 3
    assert limited.objective["macs"].options == {"counter": "exact"}


def test_every_unknown_key_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as found:
        check(train={"epoch": 3}, budgte={}, run={"sed": 1})
    lines = str(found.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["train.epoch", "budgte", "run.sed"]


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as found:
        check(train={"epochs": 0, "momentum": 1.5})
    assert "train.epochs" in str(found.value) and "train.momentum" in str(found.value)


def test_a_missing_group_is_named() -> None:
    with pytest.raises(ConfigError, match=r"space: found nothing, .* as space=VALUE"):
        check_config({key: value for key, value in SMALLEST.items() if key != "space"})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min": 2, "max": 1}, "min 2 is above max 1"),
        ({"max": float("inf")}, "max: found inf, expected a finite number"),
        ({"reference": float("nan")}, "reference: found nan"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(limits: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(objective={"params": {"name": "params", **limits}})
