"""What a person mistypes: exit status 2, one clear message, no traceback."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator import usable_cores
from orchestrator.cli.commands import _sheet, main
from orchestrator.data import DataSummary
from orchestrator.errors import CompileError

SEARCH = "+search=mobilenetv3"
CORES = usable_cores()


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    """The message of a command that must end with status 2."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        message = capsys.readouterr().err
        assert end.value.code == 2, message
        assert "Traceback" not in message
        return message

    return run


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("trian.epochs=3", ("trian: unknown key; did you mean 'train'?", "budget", "teacher")),
        ("output=there", ("output: unknown key", "budget", "run")),
        ("train.epoch=3", ("train.epoch: unknown key; did you mean 'epochs'?", "momentum")),
        ("+train.epoch=3", ("train.epoch: unknown key; did you mean 'epochs'?", "momentum")),
        ("objective.parms.max=3", ("did you mean 'params'?",)),
        ("dataset.imagesize=3", ("did you mean 'image_size'?",)),
        ("+device.thread=3", ("device.onnxruntime.thread: unknown key; did you mean 'threads'?",)),
    ],
)
def test_an_unknown_key_is_told_what_is_valid(
    refused, override: str, wanted: tuple[str, ...]
) -> None:
    message = refused("plan", SEARCH, override)
    for text in wanted:
        assert text in message


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("train.epochs=many", "train.epochs: found 'many', expected an integer"),
        ("train.epochs=0", "found 0, expected a number greater than 0. One that fits is train.ep"),
        ("budget.candidates=-3", "budget.candidates"),
        ("run.seed=-1", "run.seed"),
        ("train.optimizer=adam", "found 'adam', expected 'adamw' or 'sgd'"),
        ("objective.params.max=abc", "objective.params.max: found 'abc', expected a number"),
        ("objective.params.max=nan", "objective.params.max: found nan, expected a finite number"),
        ("dataset.image_size=big", "dataset.image_size: found 'big', expected an integer"),
        ("dataset.image_size=4", "dataset.image_size: found 4, expected 8 to 512"),
        ("device.threads=0", "device.onnxruntime.threads is 0, expected 1 or more"),
        (f"device.threads={CORES + 1}", f"threads: found {CORES + 1}, expected at most {CORES}, "),
        ("compressor.pruning.ratios=[2.0]", "compressor.pruning.ratios"),
        ("sampler.startup=x", "sampler.startup: found 'x', expected an integer"),
        ("space.preset=smal", "space.preset: mobilenetv3 has no 'smal'; did you mean 'small'?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(refused, override: str, wanted: str) -> None:
    assert wanted in refused("plan", SEARCH, override)


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["+search=nope"], ("search/nope", "efficientformer", "mobilenetv3", "shufflenetv2")),
        ([SEARCH, "sampler=nope"], ("sampler/nope", "gp", "nsga2", "tpe")),
        ([SEARCH, "device=nope"], ("device/nope", "onnxruntime")),
        ([SEARCH, "sampler.name=nope"], ("no sampler is called 'nope'", "gp", "nsga2", "tpe")),
        ([SEARCH, "space.name=mobilnetv3"], ("did you mean 'mobilenetv3'?", "shufflenetv2")),
        ([SEARCH, "objective.params.name=parms"], ("did you mean 'params'?", "latency_ms")),
    ],
)
def test_an_unknown_plugin_is_told_what_there_is(
    refused, overrides: list[str], wanted: tuple[str, ...]
) -> None:
    message = refused("plan", *overrides)
    for text in wanted:
        assert text in message


def test_nothing_to_search_is_told_the_searches(refused) -> None:
    message = refused("plan", "train.epochs=3")
    assert "+search=NAME" in message and "mobilenetv3" in message


def test_a_mistyped_command_is_told_the_commands(refused) -> None:
    assert "did you mean 'resume'?" in refused("resmue", "runs/x")


def test_a_folder_of_images_must_be_given(refused) -> None:
    assert "root" in refused("plan", SEARCH, "dataset=image_folder")


def test_a_missing_folder_of_images_is_named(refused) -> None:
    images = ["dataset=image_folder", "dataset.root=/nonexistent"]
    assert "dataset.root: /nonexistent does not exist" in refused("plan", SEARCH, *images)


def test_an_empty_class_is_named(refused, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    message = refused("plan", SEARCH, "dataset=image_folder", f"dataset.root={tmp_path}")
    assert f"{tmp_path / 'cat'} holds no images" in message


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["objective.params.max=10"], "the smallest found in space 'mobilenetv3' is"),
        (["objective.params.min=1e12"], "the largest found in space 'mobilenetv3' is"),
        (["objective.accuracy.min=90"], "it lies between 0 and 1"),
        (["objective.params.min=9", "objective.params.max=8"], "min 9 is above max 8"),
    ],
)
def test_a_budget_that_nothing_meets_is_told_what_there_is(
    refused, overrides: list[str], wanted: str
) -> None:
    assert wanted in refused("plan", SEARCH, "dataset.image_size=16", *overrides)


def test_a_search_for_nothing_is_refused(refused) -> None:
    without = [f"~objective.{name}" for name in ("accuracy", "macs", "latency_ms")]
    assert "nothing to search for" in refused("plan", SEARCH, *without)


def test_a_teacher_that_is_not_there_is_named(refused) -> None:
    assert "/nonexistent is no finalist's folder" in refused("plan", SEARCH, "teacher=/nonexistent")


@pytest.mark.parametrize("command", ["resume", "report", "pick"])
def test_a_folder_without_a_search_is_named(refused, tmp_path: Path, command: str) -> None:
    message = refused(command, str(tmp_path))
    assert f"{tmp_path} is not the folder of a search" in message


def test_a_folder_that_cannot_be_written_is_named(refused) -> None:
    folder = "/dev/null/run"
    quick = ["dataset.image_size=16", "tracking=off", f"run.dir={folder}"]
    assert f"{folder} cannot be written" in refused(SEARCH, *quick)


def test_a_limit_needs_a_number(refused, tmp_path: Path) -> None:
    message = refused("pick", str(tmp_path), "--max", "latency_ms=fast")
    assert "NAME=VALUE" in message and "latency_ms=fast" in message


@pytest.mark.parametrize("command", ["rebuild", "measure"])
def test_what_is_no_bundle_is_named(refused, tmp_path: Path, command: str) -> None:
    assert f"{tmp_path} is no finalist's folder" in refused(command, str(tmp_path))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("+search=mobilenetv",), "there is no search/mobilenetv; did you mean 'mobilenetv3'?"),
        ((SEARCH, "sampler=tp"), "there is no sampler/tp; did you mean 'tpe'? Valid: "),
        ((SEARCH, "objective=[params,laten]"), "there is no objective/laten; "),
    ],
)
def test_an_unknown_member_of_a_group_is_told_in_one_line(
    refused, words: tuple[str, ...], told: str
) -> None:
    message = refused("plan", *words)
    assert told in message and len(message.strip().splitlines()) == 1


def test_an_unknown_published_network_is_told_a_near_one(refused) -> None:
    assert "did you mean 'mobilenetv3/small-1.0'?" in refused("measure", "mobilenetv3/small-1")


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("mobilnetv3", "did you mean 'mobilenetv3'?"),
        ("large-1.1", "did you mean 'large-1.0'?"),
        ("mobilenetv3/small-1.1", "did you mean 'mobilenetv3/small-1.0'?"),
        ("nope", "Valid: "),
    ],
)
def test_an_unknown_part_of_a_name_is_told_near_ones(refused, part: str, wanted: str) -> None:
    message = refused("networks", "mobilenetv3/small-0.75", part)
    assert repr(part) in message and wanted in message and "shufflenetv2" in message


def test_an_unknown_device_is_told_what_there_is(refused) -> None:
    message = refused("measure", "mobilenetv3/small-1.0", "--device", "watch")
    assert "no device is called 'watch'" in message and "onnxruntime" in message


def test_a_cache_that_cannot_be_written_costs_a_plan_no_more_than_its_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "taken"))
    config = SimpleNamespace(space=SimpleNamespace(name="toy"), dataset=SimpleNamespace(name="x"))
    data = DataSummary(("a", "b"), {"train": 2})
    told = _sheet(config, SimpleNamespace(data=data.to_json(), strips=[]))  # type: ignore[arg-type]
    assert told.startswith("not shown.") and "cannot be written" in told


def test_a_full_disk_is_told_as_such_whatever_a_library_made_of_it(
    refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*told: object, **more: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise CompileError("the exporter does not take it") from error

    monkeypatch.setattr("orchestrator.cli.inspecting.measure_target", measured)
    message = refused("measure", "mobilenetv3/small-1.0")
    assert "No space left on device. Free some disk space" in message
    assert "exporter" not in message
