"""A sampler: which candidate to evaluate next, from all that is known."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from orchestrator.contracts.objective import Axis, Budget
from orchestrator.contracts.question import Question
from orchestrator.contracts.space import Trial
from orchestrator.errors import CandidateError
from orchestrator.records import Choices, Genotype, Record
from orchestrator.trials import FixedTrial, RandomTrial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Earlier", "Ground", "History", "Measured", "Proposal", "Sampler", "SamplerContext"]

# Drawn genotypes and static values that are remembered; the oldest go first.
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Proposal:
    """A candidate to evaluate. `choices` are the answers it was drawn with, name → value."""

    number: int
    genotype: Genotype
    choices: Mapping[str, Any]
    origin: str


@dataclass(frozen=True)
class Earlier:
    """An earlier search of the same space under other conditions: a prior, no evaluations.

    `origin` names its run, `records` are in the order in which it was told them, under its own
    numbers. `differs` says what was another there ("data", "device", "recipe", "objectives").
    `holds` are the objectives whose values would be the same here, such as multiply-adds, or
    accuracy where the device alone differs: of these it is evidence like one's own.
    """

    origin: str
    records: Sequence[Record]
    differs: Sequence[str]
    holds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Measured:
    """A network of a shortlist: what it keeps its budgets by before it is trained.

    `values` are static objectives and the measured ones, of its own untrained file: those of the
    trained one, or of another that the same training gives, may differ.
    """

    genotype: Genotype
    choices: Choices
    values: Mapping[str, float]


@dataclass(frozen=True)
class History:
    """What is known of a search: read it, never change it; it grows between two proposals.

    `records` in the order in which they were told, of every outcome: `violations` of rejected ones
    say by how much a budget was broken, failed ones have no values worth learning from, stopped
    ones lack the objectives that only a whole training tells. Records of one training, one for
    each variant of its network, have one `Record.training`. `pending` candidates are handed out
    and not told yet; `climbing` has, by number, what is known of those of them whose training has
    reached a rung and goes on. `measured` are the networks of shortlists that keep their budgets,
    whether they were proposed since or not; those that do not are among the records. After a resume
    it holds what was known before.

    What a search was given of earlier ones under the same conditions is in `records`, first, with
    `Record.earlier`; of others in `earlier`, for a sampler that says it uses priors.
    """

    records: Sequence[Record]
    pending: Sequence[Proposal]
    keys: Container[str]
    climbing: Mapping[int, Record] = field(default_factory=dict)
    earlier: Sequence[Earlier] = ()
    measured: Sequence[Measured] = ()

    def knows(self, genotype: Genotype) -> bool:
        """Whether it was proposed before; proposing it again is answered by what is known."""
        return genotype.key in self.keys


@dataclass(frozen=True)
class Ground:
    """What a search draws from and is held to.

    `draw` makes a genotype of a trial's answers. `static` tells every static objective of a
    genotype, at the cost of building its network; by default there are none. `budgets` are all
    hard limits by objective, searched for or only reported. `made` are the questions that nobody
    draws answers of, as a training gives a candidate for each, with all those answers. `same` is
    equal for genotypes of which the networks are, and what is done to them; by default the key.
    `measurable` are the objectives, searched for or limited, that a shortlist is measured in before
    a training is paid: none where nobody trains. To measure one network costs `measuring` of what
    it costs to train one. `start` are the space's answers for the network whose trained weights
    candidates inherit; None where they start from noise, or nothing is known of its answers.
    """

    axes: Sequence[Axis]
    draw: Callable[[Trial], Genotype]
    static: Callable[[Genotype], Mapping[str, float]] = lambda genotype: {}
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    made: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    same: Callable[[Genotype], str] = lambda genotype: genotype.key
    measurable: Sequence[str] = ()
    measuring: float = 0.0
    start: Choices | None = None


class SamplerContext:
    """What a sampler may ask, in the driver's own thread.

    `axes` are the searched objectives with their references, `budgets` all hard limits by
    objective, `seed` an integer of its own for each process of a search, `search_seed` one that a
    resumed search keeps: what is drawn by it and the history alone goes on as if nothing had
    happened. `measurable` are the objectives that a shortlist is measured in, none where there is
    no use in one, and `measuring` is what one network of it costs, as a share of a training.
    `start` are the space's own answers for the network whose trained weights candidates inherit, or
    None: what is a part of it begins with what was trained.

    Nothing here is paid for except `static`. The same seeds and the same calls give the same
    answers.
    """

    def __init__(self, ground: Ground, seed: int, search_seed: int | None = None) -> None:
        self.axes = ground.axes
        self.budgets = ground.budgets
        self.measurable = ground.measurable
        self.measuring = ground.measuring
        self.start = ground.start
        self.seed = seed
        self.search_seed = seed if search_seed is None else search_seed
        self._ground = ground
        self._random = random.Random(seed)
        self._questions: dict[str, Question] = {}
        self._starts: dict[str, int] = {}
        self._columns: tuple[str, ...] = ()
        self._drawn: dict[Hashable, tuple[Genotype, Choices]] = {}
        self._static: dict[str, Mapping[str, float]] = {}

    @property
    def questions(self) -> Mapping[str, Question]:
        """Every question met so far, in the order in which it was met; new ones come last."""
        return self._questions

    @property
    def columns(self) -> tuple[str, ...]:
        """The question that each column of `encode` belongs to."""
        self._place_columns()
        return self._columns

    def _place_columns(self) -> None:
        """Where the columns of questions begin that are new."""
        for name in list(self._questions)[len(self._starts) :]:
            self._starts[name] = len(self._columns)
            self._columns += (name,) * self._questions[name].columns

    def random(self, number: int | None = None) -> Choices:
        """Answers drawn uniformly, another draw at each call.

        With a `number` it is that draw of the search, the same whenever and wherever it is asked.
        """
        drawn = self._random.getrandbits(63) if number is None else self._seed_of(str(number))
        return self._answered({}, lambda: drawn)[1]

    def complete(self, choices: Choices) -> Choices:
        """All answers, and only those, that drawing asks for where `choices` are given.

        What they leave open is drawn at random, alike for the same choices. Raises ConfigError for
        an answer that is not among a question's options.
        """
        return self._draw(choices)[1]

    def draw(self, choices: Choices) -> Genotype:
        """The genotype of `complete(choices)`; raises ConfigError like it."""
        return self._draw(choices)[0]

    def static(self, choices: Choices) -> Mapping[str, float]:
        """Every static objective of `draw(choices)`, exact, before anything is paid.

        Costs a build of the network the first time, some milliseconds for a small one. Raises
        CandidateError where there is no such network.
        """
        genotype = self.draw(choices)
        found = self._static.get(genotype.key)
        if found is None:
            found = self._ground.static(genotype)
            _remember(self._static, genotype.key, found)
        return found

    def counted(self, choices: Choices) -> Mapping[str, float] | None:
        """As `static`; None where there is no such network."""
        try:
            return self.static(choices)
        except CandidateError:
            return None

    def violations(self, values: Mapping[str, float]) -> dict[str, float]:
        """By how much `values` break which budget, in its unit; empty where they keep all."""
        excess = {n: b.excess(values[n]) for n, b in self.budgets.items() if n in values}
        return {name: over for name, over in excess.items() if over > 0}

    def encode(self, choices: Choices) -> NDArray[np.float64]:
        """The answers as a vector (len(columns),); squared distances are mismatches.

        See `Question` for its weights. Questions that are met later add columns at the end, which
        are 0 for what was encoded before: pad a shorter vector with zeros.
        """
        import numpy as np

        if not choices.keys() <= self._questions.keys():
            self._draw(choices)
        self._place_columns()
        found, starts, questions = [0.0] * len(self._columns), self._starts, self._questions
        for name, answer in choices.items():
            if name in starts:
                start, code = starts[name], questions[name].code(answer)
                found[start : start + len(code)] = code
        return np.array(found, dtype=np.float64)

    def _draw(self, choices: Choices) -> tuple[Genotype, Choices]:
        known = _key_of(choices)
        found = self._drawn.get(known)
        if found is None:
            found = self._answered(choices, lambda: self._seed_of(_told(choices)))
            _remember(self._drawn, known, found)
            # Whoever has asked for all answers draws by them next.
            if (whole := _key_of(found[1])) != known:
                _remember(self._drawn, whole, found)
        return found

    def _seed_of(self, text: str) -> int:
        return zlib.crc32(f"{self.search_seed}{text}".encode())

    def _answered(self, choices: Choices, seed: Callable[[], int]) -> tuple[Genotype, Choices]:
        trial = _Answers(choices, seed, self._questions)
        return self._ground.draw(trial), trial.given


class Sampler(ABC):
    """Chooses candidates. Its options are keyword arguments of its constructor.

    It is asked in the driver, between candidates, so be quick. All it learns must come from
    `history`: a resumed search has a new instance of it. What is handed out is always a genotype
    that nobody knows; a sampler that proposes known ones again and again is passed over.

    `uses_earlier` says what it makes of earlier searches: "evaluations" that hold here as well, as
    by default; "priors", what was found under other conditions, too (see `History.earlier`); or
    "nothing", where none of them is evaluated again and that is all. A search with priors is
    refused where its sampler would not look at them.

    `shortlisted` is how many networks it may want measured before a proposal, which a forecast
    counts.
    """

    name: ClassVar[str] = ""
    shortlisted: int = 0
    uses_earlier: ClassVar[Literal["nothing", "evaluations", "priors"]] = "evaluations"

    def check(self, context: SamplerContext) -> None:  # noqa: B027
        """Raise PluginError where it cannot search this: what it needs, and what to do.

        Called once, before anything is paid. By default everything can be searched.
        """

    def shortlist(self, history: History, context: SamplerContext) -> Sequence[Choices]:
        """The few networks that it wants measured before it proposes; by default none.

        Asked at most once a proposal, and only where `context.measurable` names anything. A worker
        measures them untrained; then `propose` is called, with what was found in
        `history.measured`, or among its records where a budget is broken or a network cannot be
        exported. Nothing obliges it to propose one of them. Those that are known are left out. It
        may be followed by `propose` with more records than it saw, where several run at once.
        """
        return ()

    @abstractmethod
    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """Answers for the next candidate, name → JSON value; None leaves it to chance.

        Questions without an answer are answered at random, answers without a question are
        ignored. An answer that is not among a question's options ends the search with PluginError,
        as does whatever this raises; a PluginError is told as it is.
        """


class _Answers:
    """A trial that answers what is known, draws the rest, and keeps the questions.

    Hundreds of candidates are drawn for each proposal, so what is known takes the shortest way, and
    the `seed` is asked for only where something is open.
    """

    def __init__(
        self, known: Choices, seed: Callable[[], int], questions: dict[str, Question]
    ) -> None:
        self.given: dict[str, Any] = {}
        self._known = known
        self._seed = seed
        self._questions = questions

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The known answer, which must be one of `choices`, or any of them."""
        if self._fits(name, "categorical", tuple(choices)):
            return self.given[name]
        return self._keep(name, self._of(name).suggest_categorical(name, choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """The known answer, which must be low + n·step and at most high, or any such number."""
        if self._fits(name, "ordered", range(low, high + 1, step)):
            return int(self.given[name])
        return int(self._keep(name, self._of(name).suggest_int(name, low, high, step=step)))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """The known answer, which must lie in [low, high], or any such number."""
        self._fits(name, "real", (low, high))
        return float(self._keep(name, self._of(name).suggest_float(name, low, high)))

    @cached_property
    def _fixed(self) -> FixedTrial:
        return FixedTrial(self._known)

    @cached_property
    def _open(self) -> RandomTrial:
        return RandomTrial(self._seed())

    def _of(self, name: str) -> FixedTrial | RandomTrial:
        return self._fixed if name in self._known else self._open

    def _fits(
        self, name: str, kind: Literal["categorical", "ordered", "real"], options: Sequence[Any]
    ) -> bool:
        """Whether there is a known answer that is an option; it is kept."""
        question = self._questions.get(name)
        if question is None:
            question = self._questions[name] = Question(name, kind, options)
        if name in self._known and question.options == options:
            answer = self._known[name]
            if question.has(answer):
                self.given[name] = answer
                return True
        return False

    def _keep(self, name: str, value: Any) -> Any:
        self.given[name] = value
        return value


def _key_of(choices: Choices) -> Hashable:
    """What tells answers from others at a third of their text's price: 1, 1.0 and True differ.

    It depends on their order, which is that of the questions where all are answered.
    """
    values = tuple(choices.values())
    key = (tuple(choices), values, tuple(map(type, values)))
    try:
        hash(key)
    except TypeError:  # a list, which has no hash
        return _told(choices)
    return key


def _told(choices: Choices) -> str:
    return repr(sorted(choices.items()))


def _remember(kept: dict[Any, Any], key: Hashable, value: Any) -> None:
    if len(kept) >= _REMEMBERED:
        del kept[next(iter(kept))]
    kept[key] = value
