"""Commands, flags and words that Hydra has no grammar for."""

from __future__ import annotations

from pathlib import Path

from cases import TOY, Case, plan

__all__ = ["COMMANDS"]

LONG = "x" * 300


def _broken_yaml(tmp: Path) -> None:
    (tmp / "config.yaml").write_text("space: [unclosed\n")


def _listed_yaml(tmp: Path) -> None:
    (tmp / "config.yaml").write_text("- space\n- dataset\n")


def _latin_yaml(tmp: Path) -> None:
    (tmp / "config.yaml").write_bytes("space: {name: café}\n".encode("latin-1"))


def _typed(*words: str, wanted: tuple[str, ...]) -> Case:
    return Case(" ".join(word[:40] for word in words), words, wanted)


COMMANDS = [
    _typed("resmue", "{tmp}", wanted=("did you mean 'resume'?",)),
    _typed("mobilenetv3", wanted=("no command", "+search=")),
    _typed("--verbose", wanted=("--verbose: no such flag", "--version")),
    _typed("plan", "--config-dir={tmp}/none", wanted=("none", "folder")),
    _typed("plan", "--config-name=nope", "+search=mobilenetv3", wanted=("nope",)),
    _typed("plan", "--cfg", "everything", wanted=("everything", "job")),
    _typed("plan", wanted=("nothing says what to search", "+search=NAME")),
    _typed("+search=nope", wanted=("search/nope", "efficientformer")),
    _typed("plan", "+search=mobilenetv3", "+search=vit", wanted=("search",)),
    _typed("plan", "+search=", wanted=("search",)),
    _typed("plan", *TOY, "train.epochs", wanted=("train.epochs",)),
    _typed("plan", *TOY, "=3", wanted=("=3",)),
    _typed("plan", *TOY, "train.epochs=", wanted=("train.epochs",)),
    _typed("plan", *TOY, "train.epochs=[1,", wanted=("train.epochs",)),
    _typed("plan", *TOY, "train.epochs={a: 1", wanted=("train.epochs",)),
    _typed("plan", *TOY, "train.epochs='1", wanted=("train.epochs",)),
    _typed("plan", *TOY, "train.epochs=3)", wanted=("train.epochs",)),
    _typed("plan", *TOY, "train.epochs=1,2", wanted=("train.epochs", "--multirun")),
    _typed("plan", *TOY, "train.epochs=${nope}", wanted=("nope",)),
    _typed("plan", *TOY, "train.epochs=???", wanted=("train.epochs", "must be given")),
    _typed("plan", *TOY, "~train.nope", wanted=("train.nope",)),
    _typed("plan", *TOY, "--multirun", "train.epochs=1,x", wanted=("train.epochs", "'x'")),
    Case("broken YAML", ("plan", "--config-path={tmp}"), ("YAML", "config.yaml"), _broken_yaml),
    Case("YAML of a list", ("plan", "--config-path={tmp}"), ("config",), _listed_yaml),
    Case("YAML in Latin-1", ("plan", "--config-path={tmp}"), ("config",), _latin_yaml),
    _typed("resume", wanted=("folder",)),
    _typed("resume", "{tmp}/none", wanted=("/none is not the folder of a search",)),
    _typed("report", "{tmp}", wanted=("is not the folder of a search",)),
    _typed("report", f"{{tmp}}/{LONG}", wanted=("folder of a search",)),
    _typed("resume", f"{{tmp}}/{LONG}", wanted=("folder of a search",)),
    _typed("pick", "{tmp}", "--max", "latency_ms=fast", wanted=("NAME=VALUE", "latency_ms=fast")),
    _typed("pick", "{tmp}", "--max", "latency_ms=nan", wanted=("NAME=VALUE", "latency_ms=nan")),
    _typed("pick", "{tmp}", "--most", "latency_ms=3", wanted=("--most",)),
    _typed("rebuild", "{tmp}", wanted=("no finalist's folder",)),
    _typed("rebuild", f"{{tmp}}/{LONG}", wanted=("finalist's folder",)),
    _typed("measure", wanted=("target",)),
    _typed("measure", "{tmp}", wanted=("{tmp}",)),
    _typed("measure", f"{{tmp}}/{LONG}", wanted=("x" * 20,)),
    _typed("measure", "mobilenetv3/small-1", wanted=("did you mean 'mobilenetv3/small-1.0'?",)),
    _typed(
        "measure", "mobilenetv3/small-1.0", "--device", "watch", wanted=("watch", "onnxruntime")
    ),
    _typed("networks", "mobilnetv3", wanted=("did you mean 'mobilenetv3'?",)),
    _typed("weights", "nope/nothing", wanted=("nope/nothing",)),
    _typed("weights", "--fetch", "nope", wanted=("no weights are called 'nope'",)),
    _typed("new-plugin", "Edge Case", wanted=("cannot name a plugin", "lower-case")),
    _typed("new-plugin", "edge", "--folder", "/dev/null/x", wanted=("/dev/null/x",)),
    _typed("new-plugin", "edge", "--folder", "{tmp}/none", wanted=("/none",)),
    _typed("new-plugin", "x" * 300, "--folder", "{tmp}", wanted=("xxx",)),
    _typed("table", *TOY, "--blocks", "many", wanted=("--blocks", "many")),
    _typed("table", *TOY, "--blocks", "0", wanted=("--blocks", "0")),
    _typed(*TOY, "run.dir=/dev/null/run", wanted=("/dev/null/run", "cannot be written")),
    _typed(*TOY, f"run.dir={{tmp}}/{LONG}", wanted=("too long",)),
    _typed(*TOY, "run.dir=", wanted=("run.dir",)),
    plan("run.dir=[a]", wanted=("run.dir",)),
    plan("run.dir=/dev/null/run", wanted=("/dev/null/run", "cannot be written")),
]
