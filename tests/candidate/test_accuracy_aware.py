"""A candidate whose pruning goes as far as its accuracy allows."""

from __future__ import annotations

import pytest
from orchestrator_pruning.channels import ChannelPruning
from toy_factory import factory, genotype
from toys import toy_latencies

from orchestrator import errors
from orchestrator.candidate.compression import Compression
from orchestrator.candidate.evaluation import evaluate
from orchestrator.records import Step

pytestmark = pytest.mark.usefixtures("toys")

DROP = (Step("pruning", {"max_drop": 0.5}),)


def evaluated(folder, monkeypatch, reached):
    """A record of a network of 4 hidden units; `reached` is what so many parameters are worth."""
    made = factory(folder)
    pruning = ChannelPruning(max_drop=0.5, round_to=1, retrain_share=0)
    compression = Compression({"pruning": pruning}, made.assembly.device.formats)
    object.__setattr__(made.assembly, "compression", compression)

    def judge(subject, **_):
        return reached(sum(p.numel() for p in subject.parameters()))

    monkeypatch.setattr(type(made), "judge", lambda self, subject, **_: judge(subject))
    return evaluate((1, genotype(4, DROP)), [], made, toy_latencies)


def test_the_trained_network_s_own_figures_count(tmp_path, monkeypatch):
    """Of 270 parameters, one hidden unit less is 67 less: half of them may go."""
    record = evaluated(tmp_path, monkeypatch, lambda parameters: parameters / 270)
    assert record.outcome == "feasible"
    assert record.values["params"] == 64 * 2 + 2 + 2 * 2 + 2
    assert record.extra["compression"]["pruning.asked"] == 0.5
    assert record.genotype.compression == DROP


def test_where_nothing_may_be_lost_the_network_is_whole(tmp_path, monkeypatch):
    record = evaluated(tmp_path, monkeypatch, lambda parameters: float(parameters == 270))
    assert record.values["params"] == 64 * 4 + 4 + 4 * 2 + 2
    assert record.extra["compression"]["pruning.achieved"] == 0.0


def test_an_estimator_that_trains_nothing_cannot_tell_how_far(tmp_path):
    with pytest.raises(errors.ConfigError, match="depends on trained weights"):
        factory(
            tmp_path,
            estimator={"name": "proxy"},
            compressor={"pruning": {"name": "pruning", "max_drop": 0.01}},
        )
