"""What is made of one training: each runtime's files, and what can be done to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from toy_factory import factory, genotype
from toys import ToyDevice, toy_latencies

from orchestrator import Artifact, ArtifactCompressor, Offer, hookimpl
from orchestrator.candidate.compression import Compression, Variant
from orchestrator.candidate.evaluation import evaluate
from orchestrator.errors import CompileError, CompressionError, ConfigError
from orchestrator.plugins import installed
from orchestrator.records import Latency, Record, Step
from orchestrator.trials import RandomTrial, every_answer

pytestmark = pytest.mark.usefixtures("toys", "second_runtime")


class Shrinking(ArtifactCompressor):
    """A file a tenth as long, or an error; one of two sizes, or any share."""

    name = "shrinking"
    requires = frozenset({"toy"})
    provides = frozenset({"quantized"})
    conflicts = frozenset({"quantized"})

    def __init__(self, *, parts: tuple[int, ...] = (1, 10), any_share: bool = False) -> None:
        self.parts, self.any_share = parts, any_share

    def suggest(self, trial: Any) -> dict[str, Any]:
        if self.any_share:
            return {"part": 1 / trial.suggest_float("shrinking.share", 0.1, 0.5)}
        part = trial.suggest_categorical("shrinking.part", list(self.parts))
        return {} if part == 1 else {"part": part}

    def transform(self, artifact: Artifact, choices: Any, context: Any) -> Artifact:
        ToyDevice.calls.append(f"shrink {artifact.path.name}")
        if choices["part"] == 13:
            raise CompressionError("thirteen is unlucky")
        file = artifact.path.with_suffix(".small.toy")
        file.write_bytes(artifact.path.read_bytes()[:: int(choices["part"])])
        ToyDevice.networks[file] = context.network
        return Artifact(file, artifact.format, label="small")


class OtherDevice(ToyDevice):
    """As the first, of another format; `fails` takes nothing."""

    name = "other_device"
    formats = frozenset({"other"})
    quantizers = ("squeezing",)
    fails: ClassVar[bool] = False

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        if self.fails:
            raise CompileError("an operator is missing")
        made = super().compile(network, example, path, final=final)
        return Artifact(made.path, "other", exact=True)


class Squeezing(Shrinking):
    """The other runtime's."""

    name = "squeezing"
    requires = frozenset({"other"})

    def suggest(self, trial: Any) -> dict[str, Any]:
        on = trial.suggest_categorical("squeezing.on", [False, True])
        return {"part": 5} if on else {}


class Doubling(ArtifactCompressor):
    """Twice the file, always under one name."""

    name = "doubling"

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {"on": True} if trial.suggest_categorical("doubling.on", [False, True]) else {}

    def transform(self, artifact: Artifact, choices: Any, context: Any) -> Artifact:
        file = artifact.path.with_name("doubled.toy")
        file.write_bytes(artifact.path.read_bytes() * 2)
        ToyDevice.networks[file] = context.network
        return Artifact(file, artifact.format, label="doubled")


class SecondRuntime:
    @hookimpl
    def orchestrator_devices(self) -> list[Offer]:
        return [Offer("other_device", "test_variants:OtherDevice", "")]

    @hookimpl
    def orchestrator_compressors(self) -> list[Offer]:
        return [
            Offer("shrinking", "test_variants:Shrinking", ""),
            Offer("squeezing", "test_variants:Squeezing", ""),
            Offer("doubling", "test_variants:Doubling", ""),
        ]


@pytest.fixture
def second_runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ToyDevice, "quantizers", ("shrinking",))
    installed().register(SecondRuntime(), "second_runtime", "tests")
    yield
    installed().manager.unregister(name="second_runtime")


BOTH = {
    "device": {"toy_device": {"name": "toy_device", "runtime": ("other_device",)}},
    "compressor": {"shrinking": {"name": "shrinking"}},
}


def found(folder: Path, **groups: Any) -> list[Record]:
    """The record of a training and those that came with it."""
    record = evaluate((7, genotype()), [], factory(folder, **groups), toy_latencies)
    return [record, *record.variants]


def told(record: Record) -> tuple[str, tuple[str, ...]]:
    return record.genotype.runtime, tuple(step.name for step in record.genotype.compression)


def test_each_runtime_s_files_are_candidates_beside_the_trained_one(tmp_path: Path) -> None:
    records = found(tmp_path, **BOTH)
    assert [told(record) for record in records] == [
        ("", ()),
        ("", ("shrinking",)),
        ("other_device", ()),
        ("other_device", ("squeezing",)),
    ]
    assert [record.network for record in records] == [None, 7, 7, 7]
    assert [record.outcome for record in records] == ["feasible"] * 4
    assert ToyDevice.calls.count("train") == 1
    own, small, *_ = records
    assert small.values["latency_ms"] < own.values["latency_ms"]
    assert small.values["params"] == own.values["params"]
    assert small.latencies["toy_device"].ms == small.values["latency_ms"]


def test_they_are_told_apart_by_answers_that_nobody_draws(tmp_path: Path) -> None:
    compression = factory(tmp_path, **BOTH).assembly.compression
    assert compression.drawn == []
    assert compression.made == {
        "runtime": ["", "other_device"],
        "shrinking.part": [1, 10],
        "squeezing.on": [False, True],
    }
    answers = [variant.answers for variant in compression.variants(genotype())]
    assert answers[1]["runtime"] == "" and answers[1]["shrinking.part"] == 10
    assert answers[3]["runtime"] == "other_device" and answers[3]["squeezing.on"] is True


def test_all_are_measured_in_one_session(tmp_path: Path) -> None:
    sessions = []

    def measure(artifacts: Any, seats: Any) -> Any:
        sessions.append(list(seats))
        return toy_latencies(artifacts)

    evaluate((7, genotype()), [], factory(tmp_path, **BOTH), measure)  # type: ignore[arg-type]
    own, other = "toy_device", "toy_device.other_device"
    assert sessions == [[own, other], [own, own, other, other]]


def test_a_budget_that_only_a_changed_file_keeps_is_paid_for(tmp_path: Path) -> None:
    objective = {"latency_ms": {"name": "latency_ms", "max": 0.5}}
    own, small = found(tmp_path, objective=objective, compressor=BOTH["compressor"])
    assert own.outcome == "rejected" and own.extra["trained"] and own.paid
    assert small.outcome == "feasible" and not small.paid


def test_a_budget_that_no_variant_keeps_ends_it_before_training(tmp_path: Path) -> None:
    objective = {"latency_ms": {"name": "latency_ms", "max": 0.01}}
    (own,) = found(tmp_path, objective=objective, compressor=BOTH["compressor"])
    assert own.outcome == "rejected" and "train" not in ToyDevice.calls
    assert own.latencies["toy_device"].ms == own.values["latency_ms"] > 0.5


def test_what_cannot_be_made_fails_alone(tmp_path: Path) -> None:
    unlucky = {"shrinking": {"name": "shrinking", "parts": (1, 13, 10)}}
    own, thirteen, ten = found(tmp_path, compressor=unlucky)
    assert (own.outcome, thirteen.outcome, ten.outcome) == ("feasible", "failed", "feasible")
    assert thirteen.reason == "thirteen is unlucky" and thirteen.network == 7


def test_a_runtime_that_takes_no_such_network_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OtherDevice, "fails", True)
    records = found(tmp_path, **BOTH)
    assert [record.outcome for record in records] == ["feasible", "feasible", "failed", "failed"]
    assert records[2].reason == "an operator is missing"


def test_a_file_that_a_session_breaks_at_fails_alone(tmp_path: Path) -> None:
    def measure(artifacts: Any, seats: Any) -> Any:
        if any(".small" in artifact.path.name for artifact in artifacts):
            raise CompileError("the runtime dies of it")
        return toy_latencies(artifacts)

    made = factory(tmp_path, compressor=BOTH["compressor"])
    record = evaluate((7, genotype()), [], made, measure)  # type: ignore[arg-type]
    (small,) = record.variants
    assert record.outcome == "feasible"
    assert (small.outcome, small.reason) == ("failed", "the runtime dies of it")


def test_a_file_that_its_runtime_cannot_read_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WireError(Exception):
        """As a library's own, which is of no other kind."""

    def signature(self: Any, artifact: Artifact) -> str:
        if ".small" in artifact.path.name:
            raise WireError("the wire is cut")
        return str(artifact.path)

    monkeypatch.setattr(ToyDevice, "signature", signature)
    own, small = found(tmp_path, compressor=BOTH["compressor"])
    assert (own.outcome, small.outcome) == ("feasible", "failed")
    assert small.reason == "its file cannot be read: the wire is cut"


def test_a_session_that_breaks_only_as_a_whole_ends_in_its_reason(tmp_path: Path) -> None:
    def measure(artifacts: Any, seats: Any) -> Any:
        if len(artifacts) > 1:
            raise CompileError("too many files for the runtime")
        return toy_latencies(artifacts)

    made = factory(tmp_path, compressor=BOTH["compressor"])
    record = evaluate((7, genotype()), [], made, measure)  # type: ignore[arg-type]
    reasons = {each.reason for each in (record, *record.variants)}
    assert reasons == {"too many files for the runtime"}


def test_a_rejected_network_has_one_latency(tmp_path: Path) -> None:
    sittings = itertools.count(1)

    def measure(artifacts: Any, seats: Any) -> list[Latency]:
        slower = next(sittings)
        return [replace(known, ms=slower * known.ms) for known in toy_latencies(artifacts)]

    budget = {"latency_ms": {"name": "latency_ms", "max": 0.01}}
    made = factory(tmp_path, compressor=BOTH["compressor"], objective=budget)
    record = evaluate((7, genotype()), [], made, measure)  # type: ignore[arg-type]
    assert record.outcome == "rejected" and next(sittings) == 3
    assert record.values["latency_ms"] == record.latencies["toy_device"].ms
    assert record.violations["latency_ms"] == record.values["latency_ms"] - 0.01


def test_two_settings_of_one_step_do_not_write_to_one_file(tmp_path: Path) -> None:
    several = {"shrinking": {"name": "shrinking", "parts": (1, 2, 10)}}
    sizes = [record.values["latency_ms"] for record in found(tmp_path, compressor=several)]
    assert sizes[0] == pytest.approx(2 * sizes[1], abs=0.01) and sizes[2] < sizes[1]


def test_two_orders_do_not_write_to_one_file(tmp_path: Path) -> None:
    both = {name: {"name": name} for name in ("shrinking", "doubling")}
    ms = {told(each)[1]: each.values["latency_ms"] for each in found(tmp_path, compressor=both)}
    assert {("doubling", "shrinking"), ("shrinking", "doubling")} < set(ms)
    assert ms["doubling",] == pytest.approx(2 * ms[()])
    assert ms["shrinking", "doubling"] == pytest.approx(2 * ms["shrinking",])


def test_without_an_objective_of_files_there_is_but_the_one(tmp_path: Path) -> None:
    made = factory(tmp_path, compressor=BOTH["compressor"])
    made.assembly.targets[:] = [t for t in made.assembly.targets if t.name != "latency_ms"]  # type: ignore[index]
    assert evaluate((7, genotype()), [], made, toy_latencies).variants == ()


def test_what_has_too_many_answers_is_drawn_and_made_or_left(tmp_path: Path) -> None:
    drawn = {"shrinking": {"name": "shrinking", "any_share": True}}
    compression = factory(tmp_path, compressor=drawn).assembly.compression
    assert compression.drawn == ["shrinking"] and compression.made == {}
    (step,) = compression.draw(RandomTrial(0))
    variants = compression.variants(genotype(4, (step,)))
    assert [v.genotype.compression for v in variants] == [(step,), ()]


def test_every_answer_is_gone_through_in_order() -> None:
    def ask(trial: Any) -> Any:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return kind, trial.suggest_int("n", 1, 2) if kind == "b" else 0

    answers = every_answer(ask, 3)
    assert answers == [
        ({"kind": "a"}, ("a", 0)),
        ({"kind": "b", "n": 1}, ("b", 1)),
        ({"kind": "b", "n": 2}, ("b", 2)),
    ]
    assert every_answer(ask, 2) is None
    assert every_answer(lambda trial: trial.suggest_float("x", 0, 1), 9) is None


def test_a_runtime_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    lacking = {"toy_device": {"name": "toy_device", "runtime": ("nonesuch",)}}
    with pytest.raises(ConfigError.__base__, match="no device is called 'nonesuch'"):  # type: ignore[arg-type]
        factory(tmp_path, device=lacking)


def test_auto_leaves_out_what_does_not_work_here_and_says_why(tmp_path: Path) -> None:
    auto = {"toy_device": {"name": "toy_device", "runtime": "auto"}}
    made = factory(tmp_path, device=auto)
    assert "toy_device" in (made.config.device["toy_device"].runtime or ())
    (note,) = [note for note in made.notes if "other_device" in note]
    assert note.startswith("device toy_device goes without runtime other_device: it is no runtime")


def test_a_quantizer_of_the_other_runtime_joins_where_the_first_one_s_is_asked_for(
    tmp_path: Path,
) -> None:
    assert list(factory(tmp_path, **BOTH).config.compressor) == ["shrinking", "squeezing"]
    without = factory(tmp_path, device=BOTH["device"])
    assert list(without.config.compressor) == []


def test_a_variant_of_a_network_step_keeps_it() -> None:
    made = Compression(
        {name: installed().create("compressor", name, {}) for name in ("pruning", "quantization")},
        frozenset({"onnx"}),
    )
    pruned = genotype(4, (Step("pruning", {"ratio": 0.5}),))
    own, int8 = made.variants(pruned)
    assert own == Variant(pruned)
    assert [step.name for step in made.steps(int8.genotype)] == ["pruning", "quantization"]
