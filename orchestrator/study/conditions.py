"""What the figures of a search hold under, and where those of two searches differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.config import StudyConfig
from orchestrator.contracts import Estimator
from orchestrator.data import DataSummary
from orchestrator.errors import PluginError
from orchestrator.plan.planning import Plan
from orchestrator.plugins import Plugins

__all__ = ["Conditions", "told_apart"]

# Of training: what changes neither what a candidate reaches nor what it is worth.
_APART = ("final_epochs", "threads", "early_stop")
_TOLD = 6


@dataclass(frozen=True)
class Conditions:
    """Of one search, plain values by dotted names, group by group.

    `space` is what candidates are drawn from, `data` the images, `device` what is measured on,
    `recipe` how candidates are trained and estimated, `objectives` what is known of each.
    `shapes` decide what networks are given, `own` says that estimates are of this run alone.
    """

    space: Mapping[str, Any]
    data: Mapping[str, Any]
    device: Mapping[str, Any]
    recipe: Mapping[str, Any]
    objectives: Mapping[str, Mapping[str, Any]]
    shapes: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False

    @classmethod
    def of(cls, config: StudyConfig, plan: Plan, plugins: Plugins) -> Conditions:
        """Those of a search as its configuration and plan tell them."""
        summary = DataSummary.from_json(plan.data) if plan.data else None
        shown = _without_paths(config, plugins)
        images = dict(summary.fingerprints) if summary else {}
        classes = list(summary.classes) if summary else []
        shapes = {"dataset": shown, "classes": len(classes)}
        return cls(
            space=_flat(_drawn(config)),
            data=_flat({"dataset": shown, "images": images, "classes": classes}),
            device=_flat({"device": _devices(config), "fingerprint": plan.fingerprints}),
            recipe=_flat(_recipe(config)),
            objectives={key: _flat(_objective(config, key)) for key in config.objective},
            shapes=_flat(shapes),
            own=_pays_once(config, plugins),
        )

    def differs(self, other: Conditions, names: Sequence[str]) -> dict[str, list[str]]:
        """Group → what is another there, in words; `names` are the objectives that are asked."""
        found = {
            "data": told_apart(self.data, other.data),
            "device": told_apart(self.device, other.device),
            "recipe": told_apart(self.recipe, other.recipe),
            "objectives": [name for name in names if not self.knows(other, name)],
        }
        if not self.data or not any(key.startswith("images") for key in other.data):
            found["data"] = found["data"] or ["it does not say which images"]
        if self.own or other.own:
            found["recipe"].append("each run trains the weights that its estimates are of")
        return {group: texts for group, texts in found.items() if texts}

    def knows(self, other: Conditions, name: str) -> bool:
        """Whether the other search knew this very objective."""
        return other.objectives.get(name) == self.objectives[name]


def told_apart(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Where two sets of plain values differ, in words."""
    names = [
        n for n in {**here, **there} if here.get(n) != there.get(n) or (n in here) != (n in there)
    ]
    told = [
        f"{name} is {_short(here.get(name))}, there {_short(there.get(name))}" for name in names
    ]
    more = len(told) - _TOLD
    return [*told[:_TOLD], *([f"{more} more"] if more > 0 else [])]


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _drawn(config: StudyConfig) -> dict[str, Any]:
    return {
        "space": asdict(config.space),
        "task": asdict(config.task),
        "compressor": {key: asdict(item) for key, item in config.compressor.items()},
        "order": config.order,
    }


def _without_paths(config: StudyConfig, plugins: Plugins) -> dict[str, Any]:
    """The dataset's options but for where it lies, which says nothing of what it shows."""
    chosen = config.dataset
    try:
        paths = plugins.resolve("dataset", chosen.name).paths
    except (PluginError, AttributeError):
        paths = ()
    return {"name": chosen.name, **{k: v for k, v in chosen.options.items() if k not in paths}}


def _devices(config: StudyConfig) -> dict[str, Any]:
    """What is asked of each, wherever it is: a fingerprint says which machine answers."""
    return {
        key: {"name": item.name, "runtime": item.runtime, **item.options}
        for key, item in config.device.items()
    }


def _recipe(config: StudyConfig) -> dict[str, Any]:
    train = {key: value for key, value in asdict(config.train).items() if key not in _APART}
    return {
        "train": train,
        "estimator": asdict(config.estimator),
        "weights": config.weights,
        "teacher": config.teacher,
        "budget.rungs": config.budget.rungs,
    }


def _objective(config: StudyConfig, key: str) -> dict[str, Any]:
    """What is measured; whether it is searched for, and within which limits, is each run's own."""
    item = config.objective[key]
    return {"name": item.name, "device": item.device, **item.options}


def _pays_once(config: StudyConfig, plugins: Plugins) -> bool:
    """Whether the estimator trains something first that all its estimates come of."""
    try:
        kind = plugins.resolve("estimator", config.estimator.name)
    except PluginError:
        return False
    return getattr(kind, "prepare", Estimator.prepare) is not Estimator.prepare


def _flat(values: Any) -> dict[str, Any]:
    """Dotted names and plain values, as a stored configuration has them."""
    plain = json.loads(json.dumps(values, default=str))
    return dict(_each(plain, ""))


def _each(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, item in value.items():
        name = str(key).removesuffix(".options")
        inner = path if name == "options" else f"{path}.{name}" if path else name
        yield from _each(item, inner)
