"""Flags and overrides take one road: whatever is mistyped ends in one message, status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.cli.commands import main
from orchestrator.cli.composing import CommandLine, compose, jobs, read_command_line
from orchestrator.errors import ConfigError

SEARCH = "+search=mobilenetv3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own configuration, with a space in its name."""
    place = tmp_path / "my conf" / "search"
    place.mkdir(parents=True)
    head = "# @package _global_\ndefaults:\n  - override /space: mobilenetv3\n"
    (place / "mine.yaml").write_text(f"{head}budget:\n  candidates: 3\n")
    (place / "broken.yaml").write_text("a: [1\nb: 2")
    return place.parent


def ended(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(words)
    told = capsys.readouterr().err
    assert end.value.code == 2, told
    assert "Traceback" not in told and len(told) < 2000
    return told


def test_a_password_that_was_typed_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["+search=mobilenetv3", "tracking.uri=http://me:S3cret@host:5000"]
    for flags in (["--cfg", "job"], ["--cfg", "all"], ["--info", "config"]):
        main([*flags, *typed])
        told = capsys.readouterr()
        assert "S3cret" not in told.out + told.err
        assert "http://***@host:5000" in told.out or flags[0] == "--info"


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"orchestrator {__version__}\n"


@pytest.mark.parametrize("flag", [[], ["--cfg", "job"], ["--info", "defaults"], ["--help"], ["-m"]])
@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("trian.epochs=3", "trian: unknown key; did you mean 'train'?"),
        ("+search=nope", "search/nope"),
        ("train=5", "train: found 5, expected a name. Valid: default"),
    ],
)
def test_a_mistake_is_told_alike_with_any_flag(
    capsys: pytest.CaptureFixture[str], flag: list[str], word: str, wanted: str
) -> None:
    assert wanted in ended(capsys, *flag, SEARCH, word)


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("objective=null", ("objective: found null, expected a name or a list", "accuracy")),
        ("compressor=null", ("compressor: found null", "pruning", "compressor=[]")),
        ("space=null", ("space: found null, expected a name", "swin")),
        ("dataset=null", ("dataset: found null", "digits")),
        ("sampler=[1]", ("sampler: found [1]", "tpe")),
        ("dataset={a:1}", ("dataset: found {a:1}",)),
        ("budget=3", ("budget:", "found 3")),
        ("run=null", ("run:", "found None")),
        ("objective.params=5", ("objective.params:", "found 5")),
    ],
)
def test_a_group_that_is_set_to_no_member_is_told_them(
    capsys: pytest.CaptureFixture[str], word: str, wanted: tuple[str, ...]
) -> None:
    told = ended(capsys, SEARCH, word)
    assert all(text in told for text in wanted), told


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--confg=job"], "--confg=job: no such flag; did you mean '--cfg'?"),
        (["--cfg=wat"], "invalid choice: 'wat'"),
        (["--config-dir=/nonexistent"], "/nonexistent: expected a folder of configuration"),
        (["--config-name=nope"], "nope"),
    ],
)
def test_a_mistyped_flag_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], wanted: str
) -> None:
    assert wanted in ended(capsys, *words, SEARCH)


def test_broken_yaml_is_named_with_its_line(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    told = ended(capsys, "plan", "--config-dir", str(folder), "+search=broken")
    assert "broken.yaml" in told and "line 1" in told


def test_configuration_of_one_s_own_is_found_and_repeated(folder: Path) -> None:
    line = read_command_line(["+search=mine", f"--config-dir={folder}", "train.epochs=2"])
    config = compose(line.overrides, line)
    assert (config.budget.candidates, config.train.epochs) == (3, 2)
    again = read_command_line(line.words)
    assert compose(again.overrides, again) == config


def test_the_configuration_is_shown(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    main(["--cfg", "job", "--package", "budget", "+search=mine", f"--config-dir={folder}"])
    assert "candidates: 3" in capsys.readouterr().out


def test_completion_is_installed_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    main(["-sc", "install=bash"])
    assert "complete" in capsys.readouterr().out


def test_many_runs_are_all_combinations_in_turn() -> None:
    words = ["+search=mobilenetv3,swin", "~compressor.pruning", "train.epochs=1,2", "run.seed=7"]
    found = jobs(CommandLine(tuple(words), multirun=True))
    assert len(found) == 4
    assert found[0] == [
        "+search=mobilenetv3",
        "~compressor.pruning",
        "train.epochs=1",
        "run.seed=7",
    ]
    configs = [compose(job) for job in found]
    assert {c.space.name for c in configs} == {"mobilenetv3", "swin"}
    assert {c.train.epochs for c in configs} == {1, 2}
    assert all("pruning" not in c.compressor for c in configs)


def test_alternatives_without_multirun_are_told_of_it() -> None:
    with pytest.raises(ConfigError, match="--multirun"):
        compose([SEARCH, "train.epochs=1,2"])
