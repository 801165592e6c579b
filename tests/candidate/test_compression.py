from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.candidate.compression import Compression
from orchestrator.contracts import ArtifactCompressor, Compressor, NetworkCompressor
from orchestrator.errors import CompressionError, ConfigError
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Step
from orchestrator.trials import FixedTrial, RandomTrial

ONNX = frozenset({"onnx"})


def switch(kind: Any, called: str, **tags: str) -> Compressor:
    """A compressor that is on or off."""

    def suggest(self: Any, trial: Any) -> dict[str, Any]:
        return {"on": True} if trial.suggest_categorical(f"{called}.on", [False, True]) else {}

    methods = {name: None for name in kind.__abstractmethods__}
    sets = {name: frozenset(value.split()) for name, value in tags.items()}
    members = {**methods, "suggest": suggest, "name": called, **sets}
    instance: Compressor = type("Switch", (kind,), members)()
    return instance


def compression(**compressors: Compressor) -> Compression:
    return Compression(compressors, ONNX)


def built_in(*names: str) -> Compression:
    return compression(**{name: installed().create("compressor", name, {}) for name in names})


def genotype(*steps: Step) -> Genotype:
    return Genotype("toy", "small", {}, steps)


def test_the_built_in_compressors_go_together_in_one_order() -> None:
    made = built_in("quantization", "distillation", "pruning")
    made.check()
    assert list(made.compressors) == ["distillation", "pruning", "quantization"]


def test_what_no_device_and_no_other_provides_is_refused() -> None:
    made = Compression({"q": switch(ArtifactCompressor, "q", requires="onnx")}, frozenset({"pte"}))
    with pytest.raises(ConfigError, match=r"'q' requires \['onnx'\] where \['pte'\] are provided"):
        made.check()


def alternatives() -> Compression:
    a = switch(NetworkCompressor, "a", provides="a", conflicts="b")
    b = switch(NetworkCompressor, "b", provides="b", conflicts="a")
    return compression(a=a, b=b)


def test_one_or_the_other_may_be_in_a_configuration_and_never_both_in_a_genotype() -> None:
    made = alternatives()
    made.check()
    found = {tuple(step.name for step in made.draw(RandomTrial(seed))) for seed in range(60)}
    assert found == {(), ("a",), ("b",)}


def test_what_is_ruled_out_is_not_asked() -> None:
    trial = FixedTrial({"a.on": True, "b.on": True})
    alternatives().draw(trial)
    assert trial.asked == {"a.on": True}


def test_what_needs_another_is_never_drawn_without_it() -> None:
    needy = switch(NetworkCompressor, "needy", requires="x")
    made = compression(needy=needy, giver=switch(NetworkCompressor, "giver", provides="x"))
    made.check()
    found = {tuple(step.name for step in made.draw(RandomTrial(seed))) for seed in range(60)}
    assert found == {(), ("giver",), ("giver", "needy")}


def test_what_needs_another_is_refused_without_it_in_a_genotype() -> None:
    made = compression(
        giver=switch(ArtifactCompressor, "giver", provides="x"),
        needy=switch(ArtifactCompressor, "needy", requires="x"),
    )
    with pytest.raises(CompressionError, match="cannot be compressed by needy together"):
        made.steps(genotype(Step("needy", {"on": True})))


def pair() -> Compression:
    return compression(b=switch(NetworkCompressor, "b"), a=switch(NetworkCompressor, "a"))


def test_an_order_is_asked_only_where_several_are_legal() -> None:
    trial = FixedTrial({"b.on": True, "a.on": False})
    pair().draw(trial)
    assert "order.a+b" not in trial.asked
    trial = FixedTrial({"b.on": True, "a.on": True, "order.a+b": "b > a"})
    first = genotype(*pair().draw(trial))
    assert trial.asked["order.a+b"] == "b > a"
    other = genotype(*pair().draw(FixedTrial({**trial.known, "order.a+b": "a > b"})))
    assert first.key != other.key
    assert [step.name for step in pair().steps(first)] == ["b", "a"]
    assert [step.name for step in pair().steps(other)] == ["a", "b"]


def test_every_order_survives_its_file() -> None:
    made = pair()
    for seed in range(30):
        found = genotype(*made.draw(RandomTrial(seed)))
        again = Genotype.from_json(found.to_json())
        assert again == found
        assert made.steps(again) == made.steps(found)


def test_steps_kept_by_name_are_taken_in_their_one_order() -> None:
    made = compression(
        a_last=switch(ArtifactCompressor, "a_last"), z_first=switch(NetworkCompressor, "z_first")
    )
    (drawn,) = made.draw(FixedTrial({"z_first.on": True}))
    _, found = (variant.genotype for variant in made.variants(genotype(drawn)))
    assert [step.name for step in found.compression] == ["a_last", "z_first"]
    assert [step.name for step in made.steps(found)] == ["z_first", "a_last"]


def test_two_of_one_class_are_two_with_questions_of_their_own() -> None:
    one, two = (
        installed().create("compressor", "pruning", {"ratios": ratios})
        for ratios in ((0.0, 0.25), (0.0, 0.5))
    )
    made = compression(a=one, b=two)
    trial = FixedTrial({"a.ratio": 0.25, "b.ratio": 0.5, "order.a+b": "b > a"})
    found = made.draw(trial)
    assert found == (Step("b", {"ratio": 0.5}), Step("a", {"ratio": 0.25}))
    active = list(made.active(NetworkCompressor, genotype(*found)))
    assert active == [(two, {"ratio": 0.5}), (one, {"ratio": 0.25})]


def test_a_compressor_called_by_its_own_name_asks_as_ever() -> None:
    trial = RandomTrial(0)
    built_in("pruning").draw(trial)
    assert list(trial.choices) == ["pruning.ratio"]


def test_a_step_of_an_older_run_is_found_by_its_class() -> None:
    pruning = installed().create("compressor", "pruning", {})
    (active,) = compression(mine=pruning).active(
        NetworkCompressor, genotype(Step("pruning", {"ratio": 0.5}))
    )
    assert active == (pruning, {"ratio": 0.5})


def test_a_step_that_no_compressor_takes_is_an_error() -> None:
    with pytest.raises(CompressionError, match=r"no compressor is called 'gone'; .* has pruning"):
        built_in("pruning").steps(genotype(Step("gone", {"x": 1})))


def test_a_step_taken_twice_is_an_error() -> None:
    twice = genotype(Step("pruning", {"ratio": 0.5}), Step("pruning", {"ratio": 0.25}))
    with pytest.raises(CompressionError, match=r"twice .pruning and pruning."):
        built_in("pruning").steps(twice)


def test_a_step_without_choices_does_nothing() -> None:
    idle: Mapping[str, Any] = {}
    assert built_in("pruning").steps(genotype(Step("pruning", idle))) == []


def test_orders_are_told_in_words() -> None:
    assert built_in("quantization", "pruning").told == "pruning → quantization"
    assert alternatives().told == "a, or b"
    assert pair().told == "b → a, or a → b"
    assert compression().told == ""


def test_of_many_orders_some_are_told() -> None:
    four = {name: switch(NetworkCompressor, name) for name in "abcd"}
    assert compression(**four).told.endswith("a → c → b → d, or 21 more")
    nine = {name: switch(NetworkCompressor, name) for name in "abcdefghi"}
    assert compression(**nine).told == "a, b, c, d, e, f, g, h, i"


def ordered(*order: str, **compressors: Compressor) -> Compression:
    return Compression(compressors, ONNX, order=order)


def test_a_fixed_order_is_not_asked() -> None:
    a, b = switch(NetworkCompressor, "a"), switch(NetworkCompressor, "b")
    made = ordered("b", "a", a=a, b=b)
    made.check()
    trial = FixedTrial({"a.on": True, "b.on": True})
    assert [step.name for step in made.draw(trial)] == ["a", "b"]  # by name, as there is but one
    assert [step.name for step in made.steps(genotype(*made.draw(trial)))] == ["b", "a"]
    assert made.told == "b → a"


def test_a_fixed_order_that_cannot_be_taken_is_refused_with_the_reason() -> None:
    giver = switch(NetworkCompressor, "giver", provides="ranges")
    needy = switch(NetworkCompressor, "needy", requires="ranges")
    with pytest.raises(ConfigError, match=r"needy requires \['ranges'\] .* Legal: giver → needy"):
        ordered("needy", "giver", giver=giver, needy=needy).check()
    file = switch(ArtifactCompressor, "file")
    with pytest.raises(ConfigError, match="'giver' changes the network and cannot follow 'file'"):
        ordered("file", "giver", giver=giver, file=file).check()
    with pytest.raises(ConfigError, match=r"order: no compressor 'givre'; .*giver"):
        ordered("givre", giver=giver).check()
