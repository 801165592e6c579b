"""A plugin of which everything breaks its contract, each thing in another way."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from orchestrator import (
    Compressor,
    Dataset,
    Device,
    Estimator,
    ImageFacts,
    NetworkCompressor,
    Objective,
    Offer,
    Sampler,
    hookimpl,
)
from orchestrator.testing.toys import ToySpace


class Plain:
    """No class of any contract."""

    name = "plain"


class Abstract(Objective):
    name, unit, direction, tier = "abstract", "", "minimize", "static"


class Counted(Objective):
    """One that works; its children break it."""

    name, unit, direction, tier = "counted", "", "minimize", "static"

    def measure(self, subject: Any) -> float:
        return 1.0


class Nameless(Objective):
    unit, direction, tier = "", "minimize", "static"

    def measure(self, subject: Any) -> float:
        return 1.0


class Unitless(Objective):
    name, direction, tier = "unitless", "minimize", "static"

    def measure(self, subject: Any) -> float:
        return 1.0


class Tierless(Objective):
    name, unit, direction = "tierless", "", "minimize"

    def measure(self, subject: Any) -> float:
        return 1.0


class Downwards(Counted):
    direction: ClassVar[Any] = "down"


class Later(Counted):
    tier: ClassVar[Any] = "later"


class UnitOfNumber(Counted):
    unit: ClassVar[Any] = 5


class Raising(Counted):
    def measure(self, subject: Any) -> float:
        raise RuntimeError("there is no answer")


class Texting(Counted):
    def measure(self, subject: Any) -> Any:
        return "a lot"


class NotANumber(Counted):
    def measure(self, subject: Any) -> float:
        return float("nan")


class Endless(Counted):
    def measure(self, subject: Any) -> float:
        return float("inf")


class Unmade(Counted):
    def __init__(self) -> None:
        raise RuntimeError("no constructor today")


class ManyImages(Counted):
    training_images: Any = "many"


class Unsuggesting(ToySpace):
    def suggest(self, trial: Any) -> Any:
        raise RuntimeError("nothing comes to mind")


class Strange(ToySpace):
    def suggest(self, trial: Any) -> Any:
        return {**super().suggest(trial), "set": {1, 2}}


class Listing(ToySpace):
    def suggest(self, trial: Any) -> Any:
        return [1, 2]


class Tupled(ToySpace):
    def suggest(self, trial: Any) -> Any:
        pair = trial.suggest_categorical("pair", [(1, 2), (3, 4)])
        return {**super().suggest(trial), "pair": list(pair)}


class Unbuilding(ToySpace):
    def build(self, architecture: Any, facts: ImageFacts, outputs: Any) -> Any:
        raise RuntimeError("no bricks")


class Nothing(ToySpace):
    def build(self, architecture: Any, facts: ImageFacts, outputs: Any) -> Any:
        return None


class TooFew(ToySpace):
    def build(self, architecture: Any, facts: ImageFacts, outputs: Any) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs.count + 1))


class Presetless(ToySpace):
    presets: ClassVar[Any] = "small"


class Misnamed(ToySpace):
    def published(self) -> Any:
        raise RuntimeError("no paper")


class EmptyHanded(Dataset):
    """Says nothing of its images."""

    name = "empty_handed"

    def split(self, name: str) -> Any:
        return None


class Formatless(Device):
    name = "formatless"

    def compile(self, network: Any, example: Any, path: Any, *, final: bool = False) -> Any:
        return None

    def predict(self, artifact: Any, images: Any) -> Any:
        return None

    def fingerprint(self) -> Any:
        return {}

    def latencies(self, artifacts: Any, reference_ms: float, folder: Any) -> Any:
        return []

    def reference(self, folder: Any) -> Any:
        return None

    def runner(self, artifact: Any) -> Any:
        return None


class Unestimating(Estimator):
    name = "unestimating"


class Uncompressing(NetworkCompressor):
    name = "uncompressing"

    def suggest(self, trial: Any) -> Any:
        return {}


class NoKind(Compressor):
    """None of the three kinds."""

    name = "no_kind"

    def suggest(self, trial: Any) -> Any:
        return {}


class Unproposing(Sampler):
    name = "unproposing"


def no_sampler(seed: int = 0) -> Any:
    return 5


OBJECTIVES = [
    "Plain",
    "Abstract",
    "Nameless",
    "Unitless",
    "Tierless",
    "Downwards",
    "Later",
    "UnitOfNumber",
    "Raising",
    "Texting",
    "NotANumber",
    "Endless",
    "Unmade",
    "ManyImages",
    "Strange",
    "absent",
]
SPACES = [
    "Plain",
    "Unsuggesting",
    "Strange",
    "Listing",
    "Tupled",
    "Unbuilding",
    "Nothing",
    "TooFew",
    "Presetless",
    "Misnamed",
]


def _offers(names: list[str]) -> list[Offer]:
    return [Offer(name.lower(), f"misbehaving:{name}", "") for name in names]


class Misbehaving:
    @hookimpl
    def orchestrator_objectives(self) -> list[Offer]:
        return [
            *_offers(OBJECTIVES),
            Offer("lacking", "misbehaving:Counted", "", needs=("no-such-package",)),
            Offer("elsewhere", "no_such_module:Thing", ""),
            Offer("targetless", "misbehaving", ""),
        ]

    @hookimpl
    def orchestrator_search_spaces(self) -> list[Offer]:
        return _offers(SPACES)

    @hookimpl
    def orchestrator_datasets(self) -> list[Offer]:
        return _offers(["Plain", "EmptyHanded"])

    @hookimpl
    def orchestrator_devices(self) -> list[Offer]:
        return _offers(["Plain", "Formatless"])

    @hookimpl
    def orchestrator_tasks(self) -> list[Offer]:
        return _offers(["Plain"])

    @hookimpl
    def orchestrator_places(self) -> list[Offer]:
        return _offers(["Plain"])

    @hookimpl
    def orchestrator_estimators(self) -> list[Offer]:
        return _offers(["Plain", "Unestimating"])

    @hookimpl
    def orchestrator_compressors(self) -> list[Offer]:
        return _offers(["Plain", "Uncompressing", "NoKind"])

    @hookimpl
    def orchestrator_samplers(self) -> list[Offer]:
        return [*_offers(["Unproposing"]), Offer("none", "misbehaving:no_sampler", "")]
