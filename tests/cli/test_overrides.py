"""Devices and objectives as instances, in the words of a command line."""

from __future__ import annotations

import pytest

from orchestrator.cli.composing import compose, jobs, read_command_line
from orchestrator.errors import ConfigError

SEARCH = "+search=mobilenetv3"
TWO = "device.two={name: onnxruntime, threads: 2}"


@pytest.mark.parametrize("chosen", ["device=onnxruntime", "device=[onnxruntime]"])
def test_one_device_is_chosen_by_name_or_in_a_list(chosen: str) -> None:
    config = compose([SEARCH, chosen])
    assert list(config.device) == ["onnxruntime"]
    assert config.device["onnxruntime"].options["threads"] == 1


@pytest.mark.parametrize("word", ["device.threads=3", "device.onnxruntime.threads=3"])
def test_an_option_of_the_one_device_needs_no_name(word: str) -> None:
    assert compose([SEARCH, word]).device["onnxruntime"].options["threads"] == 3


@pytest.mark.parametrize("word", ["device.runtime=auto", "device.onnxruntime.runtime=auto"])
def test_its_runtimes_may_be_all_that_are_installed(word: str) -> None:
    assert compose([SEARCH, word]).device["onnxruntime"].runtime == "auto"


def test_or_those_of_a_list() -> None:
    found = compose([SEARCH, "device.runtime=[onnxruntime,other]"]).device["onnxruntime"]
    assert found.runtime == ("onnxruntime", "other")


def test_of_several_devices_it_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"onnxruntime, two\? Write device\.NAME\.threads=3"):
        compose([SEARCH, TWO, "device.threads=3"])


def test_an_objective_may_be_asked_of_each_device() -> None:
    words = [SEARCH, TWO, "objective=[accuracy,latency_ms,latency_ms@two]"]
    found = compose([*words, "objective.latency_ms@two.max=3"]).objective
    assert [(key, item.name, item.device) for key, item in found.items()] == [
        ("accuracy", "accuracy", None),
        ("latency_ms", "latency_ms", None),
        ("latency_ms@two", "latency_ms", "two"),
        ("macs", "macs", None),
    ]
    assert found["latency_ms@two"].max == 3


def test_an_objective_may_have_a_name_of_its_own() -> None:
    words = ["objective.small={name: latency_ms, device: two}", "objective.small.max=2"]
    found = compose([SEARCH, TWO, *words]).objective["small"]
    assert (found.name, found.device, found.max) == ("latency_ms", "two", 2)


def test_a_device_that_there_is_not_is_told() -> None:
    with pytest.raises(ConfigError, match=r"objective\.latency_ms@tow\.device: .* 'two'"):
        compose([SEARCH, TWO, "objective=[accuracy,latency_ms@tow]"])


def test_none_at_all_too() -> None:
    with pytest.raises(ConfigError, match="device: none is chosen"):
        compose([SEARCH, "device=[]"])


def test_sweeps_take_the_same_words() -> None:
    line = read_command_line(
        ["-m", SEARCH, TWO, "objective=[accuracy,latency_ms@two]", "run.seed=1,2"]
    )
    found = [compose(words, line) for words in jobs(line)]
    assert [config.run.seed for config in found] == [1, 2]
    asked = ["accuracy", "latency_ms@two", "macs"]
    assert all(list(config.objective) == asked for config in found)


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (["objective=[accuracy,latency_ms]"], "reported"),
        (["objective=[accuracy,macs]"], "objective"),
        (["objective=[accuracy,macs]", "objective.macs.role=reported"], "reported"),
    ],
)
def test_multiply_adds_are_counted_whatever_is_searched_for(words: list[str], role: str) -> None:
    assert compose([SEARCH, *words]).objective["macs"].role == role
