"""The phases of a search, with workers that answer at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starts import CREDIT
from toy_factory import factory, genotype

from orchestrator import hookimpl
from orchestrator.candidate.factory import Factory
from orchestrator.errors import OrchestratorError
from orchestrator.plan.planning import make_plan
from orchestrator.plugins import Plugins
from orchestrator.pretrained.loading import Loaded
from orchestrator.records import Check, Finalist, Latency, Record
from orchestrator.search.cluster import Resources
from orchestrator.study.close_calls import settle
from orchestrator.study.phases import Phases, notify, worker
from orchestrator.study.run_folder import RunFolder
from orchestrator.study.study import Study

pytestmark = pytest.mark.usefixtures("toys")

Answer = Callable[[Mapping[str, Any]], Any]


class Workers:
    """A cluster whose jobs are answered by functions of the payload; what is asked is kept."""

    resources = Resources()

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def map(
        self, job: Any, payloads: Sequence[Mapping[str, Any]], watch: Any = None
    ) -> Iterator[tuple[int, Any]]:
        name = job.function.rpartition(":")[2]
        for index, payload in enumerate(payloads):
            self.asked.append((name, payload))
            try:
                yield index, self.answers[name](payload)
            except ValueError as error:
                yield index, error


class Seen:
    """A viewer that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def phase(self, name: str, total: int) -> None:
        self.phases.append((name, total))

    def step(self, study: Study, done: int) -> None:
        self.steps.append(done)

    def note(self, text: str) -> None:
        self.notes.append(text)


def feasible(number: int, accuracy: float, latency_ms: float) -> Record:
    values = {"accuracy": accuracy, "latency_ms": latency_ms, "params": 1.0}
    made = genotype(1 + number % 4)
    return Record(number, made, "feasible", values, curve=(accuracy,))


# 0, 1 and 2 are the front; 3 is behind 1, 4 behind all.
KNOWN = [
    feasible(0, 0.5, 0.1),
    feasible(1, 0.7, 0.2),
    feasible(2, 0.9, 0.4),
    feasible(3, 0.6, 0.3),
    feasible(4, 0.4, 0.5),
]


@pytest.fixture
def phases(tmp_path: Path) -> Phases:
    """A search of the fakes that knows five candidates."""
    made = factory(
        tmp_path,
        budget={"candidates": 5, "finalists": 2, "checked": 4},
        objective={
            "latency_ms": {"name": "latency_ms"},
            "params": {"name": "params", "role": "reported"},
        },
    )
    plan = make_plan(made, 1)
    study = Study(made.config, RunFolder(tmp_path), plan, made.plugins, records=list(KNOWN))
    workers: Any = Workers()
    viewer: Any = Seen()
    return Phases(study, made, viewer, workers, {"folder": str(tmp_path)})


def with_workers(phases: Phases, **answers: Answer) -> Workers:
    workers = Workers(**answers)
    phases.cluster = workers  # type: ignore[assignment]
    return workers


def seen(phases: Phases) -> Seen:
    viewer: Any = phases.viewer
    assert isinstance(viewer, Seen)
    return viewer


def checked(payload: Mapping[str, Any]) -> dict[str, Any]:
    """As if further training confirmed every estimate."""
    record = Record.from_json(payload["record"])
    trained = record.values["accuracy"]
    return Check(record, payload["estimated"], trained, payload["total"], 1.0).to_json()


def finished(payload: Mapping[str, Any]) -> dict[str, Any]:
    record = Record.from_json(payload["record"])
    return Finalist(
        record.id, record.number, values=record.values, recommended=record.number != 0
    ).to_json()


def test_workers_functions_are_named_where_they_are() -> None:
    from orchestrator.search import worker as functions

    for name in functions.__all__:
        assert worker(name) == f"{functions.__name__}:{name}"


def test_no_teacher_is_trained_that_is_not_planned_or_there_already(phases: Phases) -> None:
    workers = with_workers(phases)
    phases.teach()
    phases.study.plan = replace(phases.study.plan, teacher=genotype().to_json())
    (phases.study.folder / "teacher").mkdir()
    phases.teach()
    assert workers.asked == []


def test_a_teacher_is_trained_once_and_its_worth_told(phases: Phases) -> None:
    planned = genotype().to_json()
    phases.study.plan = replace(phases.study.plan, teacher=planned)
    name = f"validation_{phases.study.leading}"
    workers = with_workers(phases, train_teacher=lambda payload: {name: 0.875})
    phases.teach()
    assert workers.asked == [("train_teacher", {"genotype": planned})]
    assert seen(phases).notes == ["teacher: 87.5 % on validation"]


def test_a_teacher_that_cannot_be_trained_ends_the_search(phases: Phases) -> None:
    def broken(payload: Mapping[str, Any]) -> Any:
        raise ValueError("the loss is nan")

    phases.study.plan = replace(phases.study.plan, teacher=genotype().to_json())
    with_workers(phases, train_teacher=broken)
    with pytest.raises(OrchestratorError, match="teacher cannot be trained: the loss is nan"):
        phases.teach()


def test_starting_weights_are_fetched_once_and_the_teacher_is_their_network(
    phases: Phases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(weights: str, space: Any, facts: Any, **given: Any) -> Loaded:
        asked.append(weights)
        assert given == {"task": phases.assembly.task, "plugins": phases.plugins}
        tensors = dict(phases.factory.build(genotype(3)).state_dict())
        return Loaded(CREDIT, genotype(3), facts, tensors, ("part of it",))

    monkeypatch.setattr("orchestrator.study.phases.load_checkpoint", load)
    config = replace(phases.study.config, weights="/gone/weights.pth")
    phases.study.config = phases.factory.config = config
    phases.begin()
    phases.begin()
    assert asked == ["/gone/weights.pth"]
    assert seen(phases).notes[0] == "part of it"
    phases.study.plan = replace(phases.study.plan, teacher=genotype(4).to_json())
    workers = with_workers(phases, train_teacher=lambda payload: {"validation_accuracy": 1.0})
    phases.teach()
    assert workers.asked == [("train_teacher", {"genotype": genotype(3).to_json()})]


def test_a_sampler_is_told_whose_weights_candidates_inherit(
    phases: Phases, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"kind": "plain", "width": 3}
    monkeypatch.setattr(Factory, "start_answers", answers)
    assert phases._ground().start == answers


def test_a_search_from_noise_fetches_nothing(phases: Phases) -> None:
    phases.begin()
    assert not seen(phases).phases and not (phases.study.folder / "weights").exists()


def test_an_estimator_that_prepares_nothing_costs_no_worker(phases: Phases) -> None:
    workers = with_workers(phases)
    phases.prepare()
    assert workers.asked == [] and seen(phases).phases == []


def test_exact_estimates_are_not_checked(phases: Phases) -> None:
    workers = with_workers(phases)
    phases.check()
    assert workers.asked == []


def test_the_neighbourhood_is_the_front_and_then_what_is_next(phases: Phases) -> None:
    numbers = [record.number for record in phases._neighbourhood(5)]
    assert set(numbers[:3]) == {0, 1, 2}
    assert numbers[3:] == [3, 4]


def test_checking_keeps_the_better_half_for_longer_training(phases: Phases) -> None:
    phases._approximate = True
    workers = with_workers(phases, check_candidate=checked)
    phases.check()
    rungs = [(p["total"], Record.from_json(p["record"]).number) for _, p in workers.asked]
    (short, first), (long, second) = (
        (total, {number for found, number in rungs if found == total})
        for total in sorted({total for total, _ in rungs})
    )
    assert short < long
    assert len(first) == 4 and {0, 1, 2} < first
    assert len(second) == 2 and second < first
    assert {check.number for check in phases.study.checks} == first
    assert len([note for note in seen(phases).notes if "not checked" in note]) == 0


def test_the_best_that_were_checked_teach_finalists(phases: Phases) -> None:
    train = replace(phases.study.config.train, check_teachers=2)
    phases.study.config = replace(phases.study.config, train=train)
    phases._approximate = True
    workers = with_workers(phases, check_candidate=checked, finish_candidate=finished)
    phases.check()
    phases.finish()
    told = [payload["teachers"] for name, payload in workers.asked if name == "finish_candidate"]
    assert told == 2 * [[KNOWN[2].genotype.to_json(), KNOWN[1].genotype.to_json()]]


def test_that_nothing_was_checked_which_could_teach_is_told(phases: Phases) -> None:
    train = replace(phases.study.config.train, check_teachers=2)
    phases.study.config = replace(phases.study.config, train=train)
    with_workers(phases, finish_candidate=finished)
    phases.finish()
    assert seen(phases).notes[0] == "train.check_teachers: 0 teach, no more were checked."


def test_a_check_that_fails_is_a_note(phases: Phases) -> None:
    def broken(payload: Mapping[str, Any]) -> Any:
        raise ValueError("no memory")

    phases._approximate = True
    with_workers(phases, check_candidate=broken)
    phases.check()
    assert phases.study.checks == []
    assert any("was not checked: no memory" in note for note in seen(phases).notes)


def test_nothing_is_checked_once_there_are_finalists(phases: Phases) -> None:
    phases._approximate = True
    phases.study.finalists = [Finalist("0001-a", 1)]
    workers = with_workers(phases, check_candidate=checked)
    phases.check()
    assert workers.asked == []


def test_finalists_are_spread_over_the_front_written_and_picked(phases: Phases) -> None:
    workers = with_workers(phases, finish_candidate=finished)
    phases.finish()
    numbers = [finalist.number for finalist in phases.study.finalists]
    assert len(workers.asked) == len(numbers) == 2 and set(numbers) <= {0, 1, 2}
    written = phases.study.home.finalists()
    assert [finalist.number for finalist in written] == numbers
    for finalist in phases.study.finalists:
        assert bool(finalist.picks) == finalist.recommended
    assert seen(phases).phases == [("finalists", 2)] and seen(phases).steps == [1, 2]


def test_members_that_share_a_training_are_one_finalist(phases: Phases) -> None:
    """Of 1 and 2 the front has two variants each; 0 would be the third network."""
    quick = [replace(feasible(n + 10, 0.65 + n / 10, 0.15 * n), network=n) for n in (1, 2)]
    phases.study.records += quick
    workers = with_workers(phases, finish_candidate=finished)
    phases.finish()
    asked = {p["record"]["number"]: [v["number"] for v in p["variants"]] for _, p in workers.asked}
    assert len(asked) == 2 and asked.keys() <= {0, 1, 2}
    assert asked.items() <= {0: [], 1: [11], 2: [12]}.items()


def test_a_finalist_that_is_there_is_not_made_again(phases: Phases) -> None:
    with_workers(phases, finish_candidate=finished)
    phases.finish()
    workers = with_workers(phases)
    phases.finish()
    assert workers.asked == [] and len(phases.study.finalists) == 2


def test_a_search_of_which_nothing_can_be_shipped_says_how_to_go_on(phases: Phases) -> None:
    def broken(payload: Mapping[str, Any]) -> Any:
        raise ValueError("no room")

    with_workers(phases, finish_candidate=broken)
    with pytest.raises(OrchestratorError, match=r"no finalist could be shipped.*resume"):
        phases.finish()
    told = [note.split(": ")[-1] for note in seen(phases).notes]
    assert told == ["no room. A resume makes it."] * 2


def test_an_observer_that_raises_becomes_a_note() -> None:
    heard: list[Any] = []
    plugins = Plugins.empty()
    broken = SimpleNamespace(orchestrator_search_started=hookimpl(lambda study: 1 / 0))

    def listens(study: Any) -> None:
        heard.append(study)

    whole = SimpleNamespace(orchestrator_search_started=hookimpl(listens))
    plugins.register(broken, "broken", "a test")
    plugins.register(whole, "whole", "a test")
    viewer: Any = Seen()
    notify(plugins, viewer, "orchestrator_search_started", study="a study")
    assert heard == ["a study"]
    assert viewer.notes == [
        "plugin broken: orchestrator_search_started raised ZeroDivisionError('division by zero')"
    ]


def test_close_latencies_are_measured_again_by_one_worker(phases: Phases) -> None:
    known = Latency(0.2, 0.2, 0.2, 0.2, 0.2, 60, low_ratio=0.1, high_ratio=0.5)
    study, name = phases.study, next(iter(phases.assembly.deployed))
    study.records = [
        replace(r, latencies={name: replace(known, ms=r.values["latency_ms"])})
        for r in study.records
    ]
    found = {n: {name: asdict(replace(known, ms=ms))} for n, ms in (("0", 0.3), ("1", 0.2))}
    workers = with_workers(phases, measure_again=lambda payload: found)
    settle(phases)
    assert [name for name, _ in workers.asked] == ["measure_again"]
    assert seen(phases).phases == [("measured again", 3)]
    assert [record.number for record in study.front] == [2, 1]


def test_latencies_that_cannot_be_measured_again_stay(phases: Phases) -> None:
    phases.study.records = [
        replace(r, latencies={"toy_device": Latency(r.values["latency_ms"], 1, 1, 1, 1, 60)})
        for r in phases.study.records
    ]

    def broken(payload: Mapping[str, Any]) -> Any:
        raise ValueError("no files")

    with_workers(phases, measure_again=broken)
    settle(phases)
    assert seen(phases).notes == ["close latencies stay as they are: no files"]
    assert [record.number for record in phases.study.front] == [2, 1, 0]
