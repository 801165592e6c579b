"""Run folders, journals and bundles that were torn, edited or made by somebody else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import Prepare, bundle, edited_json, edited_yaml, run

__all__ = ["STORED"]


def _write(name: str, content: str | bytes) -> Prepare:
    data = content.encode() if isinstance(content, str) else content

    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def _torn(name: str) -> Prepare:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-20])

    return change


def _gone(name: str) -> Prepare:
    return lambda folder: (folder / name).unlink()


def _folder(name: str) -> Prepare:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return change


def _record(edit: Callable[[dict[str, Any]], Any]) -> Prepare:
    """The first record of the journal, edited; it is in the line that is told."""

    def change(folder: Path) -> None:
        path = folder / "study.journal"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        told = next(line for line in lines if "record" in line.get("user_attr", {}))
        edit(told["user_attr"]["record"])
        path.write_text("\n".join(map(json.dumps, lines)) + "\n")

    return change


def _line(number: int, text: str) -> Prepare:
    def change(folder: Path) -> None:
        path = folder / "study.journal"
        lines = path.read_text().splitlines()
        lines[number] = text
        path.write_text("\n".join(lines) + "\n")

    return change


def _link(name: str, target: str) -> Prepare:
    def change(folder: Path) -> None:
        (folder.parent / target).write_bytes((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(folder.parent / target)

    return change


def _set(*path: Any) -> Callable[[Any], None]:
    """A value at the end of keys and indices: ("figures", "params", 3)."""
    *within, last, value = path

    def edit(data: Any) -> None:
        for key in within:
            data = data[key]
        data[last] = value

    return edit


def _drop(*path: Any) -> Callable[[Any], None]:
    *within, last = path

    def edit(data: Any) -> None:
        for key in within:
            data = data[key]
        del data[last]

    return edit


def _deep(folder: Path) -> None:
    (folder / "finalists.json").write_text("[" * 100_000)


_FINALISTS = "finalists.json"
_BAD_FINALISTS: dict[str, tuple[Prepare, tuple[str, ...]]] = {
    "torn": (_torn(_FINALISTS), ()),
    "empty": (_write(_FINALISTS, ""), ()),
    "a number": (_write(_FINALISTS, "5"), ()),
    "of one string": (_write(_FINALISTS, '["x"]'), ()),
    "not UTF-8": (_write(_FINALISTS, b"\xff\xfe"), ()),
    "a hundred thousand deep": (_deep, ()),
    "without an id": (edited_json(_FINALISTS, _drop(0, "id")), ("id",)),
    "with figures that are a list": (
        edited_json(_FINALISTS, _set(0, "figures", [1])),
        ("figures",),
    ),
    "with a value of text": (
        edited_json(_FINALISTS, _set(0, "values", "params", "3")),
        ("params",),
    ),
    "with a key of another": (edited_json(_FINALISTS, _set(0, "wings", 2)), ("wings",)),
    "whose folder is elsewhere": (edited_json(_FINALISTS, _set(0, "folder", "/etc")), ("/etc",)),
    "whose file climbs": (edited_json(_FINALISTS, _set(0, "file", "../../x")), ("../../x",)),
    "a folder": (_folder(_FINALISTS), ()),
}

_RECORDS: dict[str, tuple[Prepare, tuple[str, ...]]] = {
    "accuracy of text": (_record(_set("values", "accuracy", "high")), ("values", "'high'")),
    "another outcome": (_record(_set("outcome", "splendid")), ("outcome", "splendid")),
    "a renamed field": (_record(_set("finished", 3)), ("finished",)),
    "no genotype": (_record(_drop("genotype")), ("genotype",)),
    "a genotype of text": (_record(_set("genotype", "toy")), ()),
    "a number of text": (_record(_set("number", "0")), ("number",)),
    "seconds of text": (_record(_set("seconds", "long")), ("seconds",)),
    "a curve of text": (_record(_set("curve", ["a"])), ("curve",)),
    "a latency of text": (_record(_set("latencies", {"d": "slow"})), ("latency",)),
    "values that are a list": (_record(_set("values", [1, 2])), ("values",)),
    "a newer format": (_record(_set("format", 99)), ("99", "newer")),
}

STORED = [
    *(
        run("report", change, "finalists.json", *wanted, name=f"finalists.json {name}")
        for name, (change, wanted) in _BAD_FINALISTS.items()
    ),
    *(
        run("report", change, "study.journal", "line ", *wanted, name=f"a record with {name}")
        for name, (change, wanted) in _RECORDS.items()
    ),
    run("pick", edited_json(_FINALISTS, _set(0, "values", [])), _FINALISTS, name="no values"),
    run("resume", _torn(_FINALISTS), _FINALISTS, name="finalists.json torn"),
    run("resume", _record(_set("values", "accuracy", "high")), "study.journal", name="text"),
    run("report", _write("study.journal", "PK\x03\x04"), "study.journal", name="a foreign journal"),
    run("report", _line(3, '{"op_code":'), "study.journal", name="a torn line within"),
    run("report", _line(3, "[]"), "study.journal", name="a line of another shape"),
    run("report", _line(3, '{"op_code": 77}'), "study.journal", name="an unknown operation"),
    run("report", _gone("study.journal"), "study.journal is missing", name="no journal"),
    run("report", _folder("study.journal"), "study.journal", name="a journal that is a folder"),
    run("report", _gone("plan.json"), "plan.json", name="no plan"),
    run("report", _torn("plan.json"), "plan.json", name="a torn plan"),
    run("report", edited_json("plan.json", _drop("axes")), "plan.json", "axes", name="no axes"),
    run(
        "report",
        edited_json("plan.json", _set("axes", 0, "direction", "up")),
        "plan.json",
        "direction",
        "'up'",
        name="an axis that goes up",
    ),
    run(
        "report",
        edited_json("plan.json", _set("axes", 0, "reference", "x")),
        "plan.json",
        "reference",
        name="a reference of text",
    ),
    run(
        "report",
        edited_json("plan.json", _set("axes", "x")),
        "plan.json",
        "axis",
        name="axes of text",
    ),
    run("report", edited_json("plan.json", _set("seconds", "x")), "plan.json", name="text seconds"),
    run("report", _gone("config.yaml"), "config.yaml", name="no configuration"),
    run("report", _write("config.yaml", "a: [b"), "config.yaml", name="broken YAML"),
    run("report", _write("config.yaml", "- a"), "config.yaml", name="a list for a configuration"),
    run("report", _write("config.yaml", b"\xff"), "config.yaml", name="no text"),
    run(
        "resume",
        edited_yaml("config.yaml", _set("train", "epochs", "many")),
        "config.yaml",
        "train.epochs",
        name="epochs of text",
    ),
    run(
        "resume",
        edited_yaml("config.yaml", _set("space", "name", "nope")),
        "nope",
        name="a space that is not installed",
    ),
    run(
        "resume",
        edited_yaml("config.yaml", _set("objective", "params", "role", "reported")),
        "config.yaml",
        "params",
        name="a role that was changed",
    ),
    run(
        "report",
        _folder("candidates.csv"),
        "{tmp}/run/candidates.csv cannot be used",
        name="candidates.csv is a folder",
    ),
    run("resume", _folder("lock"), "cannot be written", name="the lock is a folder"),
]

_GENOTYPE = "genotype.json"


def _foreign(*path: Any) -> Prepare:
    return edited_json(_GENOTYPE, _set(*path))


def _outside(folder: Path) -> None:
    (folder.parent / "outside.toy").write_bytes((folder / "model.toy").read_bytes())
    edited_json(_GENOTYPE, _set("recommended", "../outside.toy"))(folder)
    edited_json(_GENOTYPE, _set("artifacts", "fp32", "file", "../outside.toy"))(folder)


def _swapped(folder: Path) -> None:
    (folder / "model.toy").write_bytes(b"another")
    edited_json(_GENOTYPE, _set("sha256", {}))(folder)


def _unlisted(folder: Path) -> None:
    edited_json(_GENOTYPE, _drop("sha256", "model.toy"))(folder)


def _fifo(folder: Path) -> None:
    (folder / _GENOTYPE).unlink()
    os.mkfifo(folder / _GENOTYPE)


_BUNDLES: dict[str, tuple[Prepare, tuple[str, ...]]] = {
    "torn": (_torn(_GENOTYPE), (_GENOTYPE,)),
    "a list": (_write(_GENOTYPE, "[]"), (_GENOTYPE,)),
    "a newer format": (_foreign("format", 99), ("99", "newer")),
    "no hashes": (edited_json(_GENOTYPE, _drop("sha256")), ("sha256",)),
    "hashes of text": (_foreign("sha256", "all"), ("sha256",)),
    "a file that its hashes do not tell": (_unlisted, ("model.toy", "sha256")),
    "a swapped file and no hashes": (_swapped, ("sha256",)),
    "a file outside of it": (_outside, ("../outside.toy", "outside")),
    "an absolute file": (_foreign("artifacts", "fp32", "file", "/etc/passwd"), ("/etc/passwd",)),
    "a link out of it": (_link("model.toy", "real.toy"), ("model.toy",)),
    "weights that are a link": (_link("weights.safetensors", "real"), ("weights.safetensors",)),
    "a changed file": (_write("model.toy", b"x"), ("model.toy", "sha256")),
    "changed weights": (_write("weights.safetensors", b"x"), ("weights.safetensors",)),
    "no weights": (_gone("weights.safetensors"), ("weights.safetensors",)),
    "artifacts of text": (_foreign("artifacts", "all"), (_GENOTYPE,)),
    "an artifact of text": (_foreign("artifacts", "fp32", "model.toy"), (_GENOTYPE,)),
    "an artifact without a format": (
        edited_json(_GENOTYPE, _drop("artifacts", "fp32", "format")),
        ("format",),
    ),
    "a genotype of text": (_foreign("genotype", "toy"), ("genotype",)),
    "a genotype without a space": (edited_json(_GENOTYPE, _drop("genotype", "space")), ("space",)),
    "widths of text": (_foreign("genotype", "architecture", "widths", "x"), (_GENOTYPE,)),
    "huge widths": (_foreign("genotype", "architecture", "widths", [10**9]), (_GENOTYPE,)),
    "a hundred thousand layers": (
        _foreign("genotype", "architecture", "widths", [2] * 100_000),
        (_GENOTYPE,),
    ),
    "a huge image": (_foreign("image_size", 10**7), ("image_size", str(10**7))),
    "a size of text": (_foreign("image_size", "8"), ("image_size",)),
    "a billion channels": (_foreign("in_channels", 10**9), ("in_channels",)),
    "classes of numbers": (_foreign("classes", [1, 2]), ("classes",)),
    "a deviation of 0": (_foreign("deviation", [0.0]), ("deviation",)),
    "a mean a class": (_foreign("mean", [0.5, 0.5]), ("mean",)),
    "options of text": (_foreign("space_options", "small"), ("space_options",)),
    "an option that there is not": (_foreign("space_options", {"wings": 2}), ("wings",)),
    "a space that is not installed": (_foreign("genotype", "space", "nope"), ("nope",)),
    "another preset": (_foreign("genotype", "preset", "huge"), ("huge",)),
    "steps of text": (_foreign("genotype", "compression", "all"), ("genotype",)),
    "a file that is none": (_fifo, (_GENOTYPE,)),
}

STORED += [
    bundle(command, change, *wanted, name=name)
    for name, (change, wanted) in _BUNDLES.items()
    for command in ("rebuild", "measure")
]
