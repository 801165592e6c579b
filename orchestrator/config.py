"""The configuration as frozen dataclasses, one a config group, and its check."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

import pydantic

from orchestrator.errors import ConfigError, closest
from orchestrator.faults.wording import Wrong, wrong_values

__all__ = [
    "INSTANCES",
    "BudgetConfig",
    "Chosen",
    "DeviceConfig",
    "EarlyStopConfig",
    "ObjectiveConfig",
    "RunConfig",
    "SamplerConfig",
    "StudyConfig",
    "TrackingConfig",
    "TrainConfig",
    "check_config",
    "flat_config",
]


Share = Annotated[float, pydantic.Field(ge=0, le=1)]
OpenShare = Annotated[float, pydantic.Field(ge=0, lt=1)]
PartShare = Annotated[float, pydantic.Field(gt=0, lt=1)]
Scale = Annotated[float, pydantic.Field(gt=0, le=1)]
# Of the image size: a network that is made for 224 pixels makes nothing of 10.
SideShare = Annotated[float, pydantic.Field(ge=0.1, le=1)]
# Finite, as inf passes for a number that is large enough.
Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
# Beyond what anybody means, and before memory and time are gone without a word.
Epochs = Annotated[int, pydantic.Field(gt=0, le=100_000)]
BatchSize = Annotated[int, pydantic.Field(gt=0, le=65_536)]
Pixels = Annotated[int, pydantic.Field(ge=0, le=256)]
Threads = Annotated[int, pydantic.Field(gt=0, le=1024)]
Count = Annotated[int, pydantic.Field(gt=0, le=1_000_000)]
CountOrNone = Annotated[int, pydantic.Field(ge=0, le=1_000_000)]
AtOnce = Annotated[int, pydantic.Field(ge=0, le=4096)]
Seeds = Annotated[int, pydantic.Field(gt=0, le=100)]
# What numpy's generators, and so every sampler, take.
Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]
Name = Annotated[str, pydantic.Field(min_length=1)]


def _address(text: str) -> str:
    """Raise ValueError for what is no address of a Ray cluster."""
    if text not in ("auto", "local") and not re.fullmatch(r"(ray://)?[^\s/@]+:\d{1,5}", text):
        raise ValueError("expected auto or HOST:PORT of a Ray cluster")
    return text


def _tracking_uri(text: str) -> str:
    """Raise ValueError for a store that MLflow, with its plugins, does not know."""
    scheme = text.partition("://")[0].partition("+")[0] if "://" in text else "file"
    stores = {point.name for point in entry_points(group="mlflow.tracking_store")}
    known = {*_STORES, *stores}
    if scheme not in known:
        raise ValueError(f"expected a store of MLflow, which are {', '.join(sorted(known))}")
    return text


_STORES = ("databricks", "file", "http", "https", "mssql", "mysql", "postgresql", "sqlite")
Address = Annotated[str, pydantic.AfterValidator(_address)]
TrackingUri = Annotated[str, pydantic.AfterValidator(_tracking_uri)]


# Groups of which a search may have several members, each by a key of its own.
INSTANCES = ("device", "objective", "compressor")
_PARTS = ("space", "dataset", "task", "estimator", "sampler")


@dataclass(frozen=True)
class Chosen:
    """Something a plugin offers, by name, and the options for its constructor."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SamplerConfig:
    """A sampler by name. `history` are folders of earlier runs of the same space that it starts
    from: evaluations where all else is the same too, else a prior.
    """

    name: str
    history: tuple[Name, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceConfig:
    """A runtime by name, or several, at a place; `options` are for the constructor of the first.

    `runtime` "auto" lets every installed runtime that works at the place take part, a list those
    that it names; None is `name` alone.
    """

    name: str
    runtime: Literal["auto"] | tuple[str, ...] | None = None
    place: Chosen = Chosen("here")
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveConfig:
    """One objective: searched for or only reported, with an optional hard budget in its unit.

    `reference` is the worst value that still counts towards the hypervolume; by default the budget,
    or where there is none, or a looser one, that of the space's largest network, for the task's
    leading metric what guessing reaches, or 0 for another objective that is maximised. `device` is
    where it is measured, by its name among the configuration's devices; by default the first.
    """

    name: str
    role: Literal["objective", "reported"] = "objective"
    min: float | None = None
    max: float | None = None
    reference: float | None = None
    device: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EarlyStopConfig:
    """When a candidate is hopeless: after `after` of its epochs (share in (0, 1)), at least
    `rivals` finished candidates that are no worse in every other objective were more accurate at
    that epoch by `margin` (accuracy, in [0, 1]). `rivals` 0 switches it off.
    """

    after: PartShare = 0.5
    rivals: CountOrNone = 2
    margin: Share = 0.03


@dataclass(frozen=True)
class TrainConfig:
    """How networks are trained. Probabilities and shares are in [0, 1].

    `batch_size` is that of whole images, of `accumulate` such batches an update of the weights.
    `learning_rate` is that of the last layer; each layer before it has `layer_decay` times that of
    the next. `sampling` "balanced" draws every class equally often; `class_weights` "balanced"
    draws every image, and weighs each in the loss so that every class counts as much. The
    classifier that `estimator=probe` solves heeds both.

    `crop_area` is the least share of an image's area that is cut out and scaled to the whole.
    `augment` draws one operation an image (trivial) or two (rand) of a library's. `colour_jitter`
    changes brightness, contrast and saturation each by a factor in 1 ± itself. Where `mixup_alpha`
    and `cutmix_alpha` are both above 0, each batch is mixed by one of them.

    `scales` are shares of the image size, each batch at one of them: the smaller the images, the
    more of them a batch has. `grow_from` is the share of the image size at the first epoch, which
    rises to 1 at the last.

    `adapt` has the network that starting weights belong to trained first; all others start there.
    It, and one that others are distilled from, is trained for `teacher_epochs`; null: as long as a
    finalist. The best `check_teachers` that an estimator's checks trained teach finalists together.
    """

    epochs: Epochs = 5
    final_epochs: Epochs = 12
    teacher_epochs: Epochs | None = None
    check_teachers: CountOrNone = 0
    adapt: bool = False
    batch_size: BatchSize = 32
    accumulate: BatchSize = 1
    sampling: Literal["plain", "balanced"] = "plain"
    class_weights: Literal["none", "balanced"] = "none"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 4e-3
    weight_decay: NotNegative = 0.02
    momentum: OpenShare = 0.9
    warmup_share: OpenShare = 0.1
    layer_decay: Scale = 1.0
    label_smoothing: OpenShare = 0.05
    mirror: Literal["auto", "on", "off"] = "auto"
    crop_padding: Pixels = 1
    crop_area: Scale = 1.0
    augment: Literal["none", "trivial", "rand"] = "none"
    colour_jitter: Share = 0.0
    scales: Annotated[tuple[SideShare, ...], pydantic.Field(min_length=1)] = (1.0,)
    grow_from: SideShare = 1.0
    mixup_alpha: NotNegative = 0.0
    cutmix_alpha: NotNegative = 0.0
    erasing: Share = 0.0
    ema_decay: OpenShare = 0.0
    mixed_precision: Literal["auto", "off"] = "auto"
    threads: Threads = 1
    early_stop: EarlyStopConfig = field(default_factory=EarlyStopConfig)

    @property
    def taught_epochs(self) -> int:
        """Of the network that others start or learn from."""
        return self.teacher_epochs or self.final_epochs


@dataclass(frozen=True)
class BudgetConfig:
    """How much search is paid for.

    `candidates` counts those that pass their budgets before training; `minutes` ends the search
    earlier, and what runs then; `patience` ends it where the hypervolume has been flat for so many
    trainings. A candidate that takes more than `candidate_minutes` has failed; null: 20 times the
    forecast, at least 10. `concurrent` 0 means one a core; `finalists` is how many of the front
    are shipped, each the best on validation of as many trainings as there are `seeds`. `checked`
    candidates near the front are trained further where the estimator is approximate; 0 trusts it
    blindly. `rungs` are shares of a training after which only the `kept` share of candidates goes
    on, by what they add to the hypervolume; none has each trained whole.
    """

    candidates: Count = 26
    minutes: Positive | None = None
    patience: Count | None = None
    candidate_minutes: Positive | None = None
    concurrent: AtOnce = 0
    finalists: Count = 4
    seeds: Seeds = 1
    checked: CountOrNone = 8
    rungs: tuple[PartShare, ...] = ()
    kept: PartShare = 0.4


@dataclass(frozen=True)
class RunConfig:
    """Where a run's folder lies (by default below ./runs) and what seeds it."""

    dir: Name | None = None
    seed: Seed = 0
    address: Address | None = None


@dataclass(frozen=True)
class TrackingConfig:
    """MLflow: `uri` null means SQLite in runs/mlflow.db."""

    enabled: bool = True
    uri: TrackingUri | None = None
    experiment: Name = "orchestrator"


@dataclass(frozen=True)
class StudyConfig:
    """All of it.

    `teacher` is the path of a bundle, "package.module:factory@FILE", or several of them that teach
    together; None lets a search that needs one train its largest named network.
    `order` names compressors as they are taken, where several orders are legal; None searches it.
    `weights` are those that networks start from: "auto", a name as `weights` lists it, the path of
    a file or of a bundle; None starts from noise.
    """

    space: Chosen
    dataset: Chosen
    device: Mapping[str, DeviceConfig]
    estimator: Chosen
    sampler: SamplerConfig
    objective: Mapping[str, ObjectiveConfig]
    task: Chosen = Chosen("classification")
    compressor: Mapping[str, Chosen] = field(default_factory=dict)
    order: tuple[str, ...] | None = None
    teacher: str | tuple[str, ...] | None = None
    weights: str | None = None
    train: TrainConfig = field(default_factory=TrainConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    run: RunConfig = field(default_factory=RunConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


_SCHEMAS: Mapping[str, Any] = {
    "objective": ObjectiveConfig,
    "device": DeviceConfig,
    "sampler": SamplerConfig,
}


def check_config(data: Mapping[str, Any]) -> StudyConfig:
    """The configuration, checked whole; raises ConfigError naming every wrong key and value."""
    nested = {group: _nest(group, value) for group, value in data.items()}
    problems = list(_unknown_keys(StudyConfig, nested, ""))
    if problems:
        raise ConfigError("\n".join(problems))
    if not nested.get("device"):
        raise ConfigError("device: none is chosen; for example device=[onnxruntime].")
    if nested.get("objective") is None:
        raise ConfigError("objective: none is chosen; for example objective=[accuracy,params].")
    try:
        config = pydantic.TypeAdapter(StudyConfig).validate_python(nested)
    except pydantic.ValidationError as error:
        raise ConfigError("\n".join(map(_sentence, wrong_values(error, nested)))) from None
    if config.train.sampling == config.train.class_weights == "balanced":
        raise ConfigError(
            "train.class_weights: balanced beside train.sampling=balanced makes up for rare "
            "classes twice. Leave one of them out."
        )
    for key, item in config.objective.items():
        _check_budget(key, item)
        _check_device(key, item, config.device)
    return config


def _check_device(key: str, item: ObjectiveConfig, devices: Mapping[str, DeviceConfig]) -> None:
    """Raise ConfigError for a device that the configuration does not have."""
    if item.device is not None and item.device not in devices:
        text = closest(item.device, devices)
        raise ConfigError(f"objective.{key}.device: there is no {item.device!r}; {text}")


def _check_budget(key: str, item: ObjectiveConfig) -> None:
    """Raise ConfigError for limits that are no numbers or exclude each other."""
    limits = {"min": item.min, "max": item.max, "reference": item.reference}
    for end, value in limits.items():
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"objective.{key}.{end}: found {value}, expected a finite number.")
    if item.min is not None and item.max is not None and item.min > item.max:
        raise ConfigError(
            f"objective.{key}: min {item.min:g} is above max {item.max:g}, so nothing keeps both."
        )


def _nest(group: str, value: Any) -> Any:
    """Put what is not ours among a plugin's options: `{name, root}` → `{name, options: {root}}`."""
    if not isinstance(value, Mapping):
        return value
    if group in INSTANCES:
        schema = _SCHEMAS.get(group, Chosen)
        named = _named_device(value) if group == "device" else value
        return {
            key: _with_options(_placed(_named(str(key), item, group), group), schema)
            for key, item in named.items()
        }
    return _with_options(value, _SCHEMAS.get(group, Chosen)) if group in _PARTS else value


def _placed(item: Any, group: str) -> Any:
    """A place is a name, or a name with options."""
    if group != "device" or not isinstance(item, Mapping) or "place" not in item:
        return item
    place = item["place"]
    if isinstance(place, str):
        return {**item, "place": {"name": place}}
    return {**item, "place": _with_options(place, Chosen)}


def _named_device(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of files written when there was one device: `{name, threads}` → `{NAME: {name, threads}}`."""
    name = value.get("name")
    return {name: value} if isinstance(name, str) else value


def _named(key: str, item: Any, group: str) -> Any:
    """An instance without a name is called by its key; `latency_ms@pi` is measured on pi."""
    if not isinstance(item, Mapping):
        return item
    name, at, device = key.partition("@")
    told = {"device": device} if at and group == "objective" else {}
    own = {k: v for k, v in item.items() if v is not None or k not in told}
    return {"name": name, **told, **own}


def _with_options(value: Any, schema: Any) -> Any:
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    own = {item.name for item in fields(schema)} - {"options"}
    options = {key: item for key, item in value.items() if key not in own}
    return {**{key: item for key, item in value.items() if key in own}, "options": options}


def flat_config(config: StudyConfig) -> dict[str, Any]:
    """The inverse of `check_config`: plain values for a YAML file or another process."""
    return {group: _flatten(value) for group, value in asdict(config).items()}


def _flatten(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    options = value.get("options", {}) if "name" in value else {}
    rest = {key: _flatten(item) for key, item in value.items() if key != "options" or not options}
    return {**{key: item for key, item in rest.items() if key != "options"}, **options}


def _unknown_keys(schema: Any, data: Any, path: str) -> Iterator[str]:
    """Walk dataclasses and mappings of dataclasses; options are checked by their plugin."""
    if not isinstance(data, Mapping):
        return
    if not is_dataclass(schema):
        for key, value in data.items():
            yield from _unknown_keys(schema, value, f"{path}{key}.")
        return
    hints = _members(schema)
    for key, value in data.items():
        if key not in hints:
            yield f"{path}{key}: unknown key; {closest(str(key), hints)}"
        elif hints[key] is not None:
            yield from _each(hints[key], value, f"{path}{key}.")


def _each(schema: Any, value: Any, path: str) -> Iterator[str]:
    kind, many = schema
    items = value.items() if many and isinstance(value, Mapping) else [("", value)]
    for key, item in items:
        yield from _unknown_keys(kind, item, f"{path}{key}." if key else path)


def _members(schema: Any) -> dict[str, Any]:
    """Field name → (nested dataclass, whether a mapping of it), or None for a plain value."""
    import typing

    hints = typing.get_type_hints(schema)
    members: dict[str, Any] = {}
    for item in fields(schema):
        hint = hints[item.name]
        arguments = typing.get_args(hint)
        many = bool(arguments) and is_dataclass(arguments[-1])
        members[item.name] = (
            (hint, False) if is_dataclass(hint) else (arguments[-1], True) if many else None
        )
    return members


def _sentence(wrong: Wrong) -> str:
    """What is wrong with one value, and one that fits."""
    return f"{wrong.where}: {wrong.told}. {wrong.mended(_default(wrong.path))}"


def _default(path: Sequence[str]) -> Any:
    """What a value is where nobody says it; None where there is no such, or nothing to show."""
    schema, keyed = StudyConfig, False
    *outer, last = path
    for part in outer:
        if keyed:  # the key of an instance
            keyed = False
            continue
        member = _members(schema).get(part)
        if member is None:
            return None
        schema, keyed = member
    found = {item.name: item.default for item in fields(schema)}.get(last)
    return None if found is MISSING else found
