"""A device's runtime, at the place that the configuration names."""

from __future__ import annotations

import pytest

from orchestrator.candidate.devices import make_device, make_place, make_runtimes
from orchestrator.config import Chosen, DeviceConfig
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed

PI = DeviceConfig("onnxruntime", place=Chosen("ssh"), options={"host": "pi", "threads": 2})


def test_options_of_the_place_may_stand_at_the_device() -> None:
    device = make_device(PI, installed())
    assert device.place_name == "ssh pi" and not device.shares_host
    assert device.options == {"threads": 2}
    nested = DeviceConfig("onnxruntime", place=Chosen("ssh", {"host": "pi", "user": "me"}))
    assert make_place(nested, installed()).name == "ssh me@pi"


def test_all_runtimes_of_a_device_are_at_its_place() -> None:
    item = DeviceConfig("onnxruntime", ("onnxruntime",), PI.place, PI.options)
    assert {d.place_name for d in make_runtimes(item, installed()).values()} == {"ssh pi"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hots": "pi"}, r"device\.onnxruntime\.hots: unknown key; did you mean 'host'\?"),
        ({}, r"device\.host: found nothing, .* as device\.host=VALUE"),
        ({"host": "pi", "port": "one"}, r"device\.port: .*found 'one'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_device(DeviceConfig("onnxruntime", place=Chosen("ssh"), options=options), installed())


def test_what_is_no_runtime_cannot_be_elsewhere(toys: None) -> None:
    item = DeviceConfig("toy_device", place=Chosen("ssh", {"host": "pi"}))
    with pytest.raises(ConfigError, match=r"is no runtime .*found place=ssh, expected place=here"):
        make_device(item, installed())
