"""Keys, values and words of a configuration."""

from __future__ import annotations

from cases import Case, plan

__all__ = ["CONFIG"]

SEARCH = "+search=mobilenetv3"


def _real(*rest: str, wanted: tuple[str, ...]) -> Case:
    """A plan of a real search, for what its own files say."""
    return Case(f"real: {' '.join(rest)}", ("plan", SEARCH, *rest), wanted)


_KEYS = {
    "trian.epochs=3": ("trian: unknown key", "did you mean 'train'?"),
    "train.epoch=3": ("train.epoch: unknown key", "'epochs'"),
    "+train.epoch=3": ("train.epoch: unknown key", "'epochs'"),
    "+train.early_stop.afer=0.3": ("train.early_stop.afer: unknown key", "'after'"),
    "+budget.hours=3": ("budget.hours: unknown key", "minutes"),
    "+run.folder=x": ("run.folder: unknown key", "dir"),
    "+tracking.url=x": ("tracking.url: unknown key", "'uri'"),
    "+objective.params.most=3": ("objective.params.most: unknown key",),
    "+sampler.seeds=3": ("sampler.seeds: unknown key", "'seed'"),
    "+space.preest=full": ("space.preest: unknown key", "'preset'"),
    "+estimator.failing=true": ("estimator.failing: unknown key", "'fails'"),
    "+device.toy_device.threads=3": ("device.toy_device.threads: unknown key",),
}

_VALUES = {
    "train.epochs=many": ("train.epochs", "integer", "'many'"),
    "train.epochs=0": ("train.epochs", "greater than 0", "found 0"),
    "train.epochs=1e20": ("train.epochs", "found 1e+20"),
    "train.epochs=null": ("train.epochs", "integer"),
    "train.epochs=[1,2]": ("train.epochs", "integer"),
    "train=5": ("train", "5"),
    "train=null": ("train",),
    "train.batch_size=100000000": ("train.batch_size", "found 100000000"),
    "+train.accumulate=0": ("train.accumulate", "found 0"),
    "+train.optimizer=adam": ("train.optimizer", "'adamw' or 'sgd'", "'adam'"),
    "+train.learning_rate=inf": ("train.learning_rate", "found inf"),
    "+train.learning_rate=nan": ("train.learning_rate", "found nan"),
    "+train.learning_rate=0": ("train.learning_rate", "found 0"),
    "+train.weight_decay=inf": ("train.weight_decay", "found inf"),
    "+train.momentum=1": ("train.momentum", "less than 1"),
    "+train.mixup_alpha=inf": ("train.mixup_alpha", "found inf"),
    "+train.crop_padding=100000000": ("train.crop_padding", "found 100000000"),
    "+train.scales=[0.0001]": ("train.scales", "found 0.0001"),
    "+train.scales=[]": ("train.scales", "at least 1"),
    "+train.threads=1000000": ("train.threads", "found 1000000"),
    "+train.early_stop={after: 7}": ("train.early_stop.after", "found 7"),
    "+train.early_stop={rivals: -3}": ("train.early_stop.rivals", "found -3"),
    "+train.early_stop={margin: nan}": ("train.early_stop.margin", "found nan"),
    "budget.candidates=-3": ("budget.candidates", "found -3"),
    "budget.candidates=1e20": ("budget.candidates", "found 1e+20"),
    "+budget.minutes=0": ("budget.minutes", "found 0"),
    "+budget.minutes=inf": ("budget.minutes", "found inf"),
    "+budget.concurrent=1000000": ("budget.concurrent", "found 1000000"),
    "+budget.seeds=100000000": ("budget.seeds", "found 100000000"),
    "budget=[]": ("budget",),
    "run.seed=-1": ("run.seed", "found -1"),
    "run.seed=4294967296": ("run.seed", "4294967295", "found 4294967296"),
    "run.seed=0.5": ("run.seed", "found 0.5"),
    "run.address='no port'": ("run.address", "'no port'", "HOST:PORT"),
    "run=here": ("run", "'here'"),
    "tracking=null": ("tracking", "None"),
    "tracking=yes": ("tracking", "'yes'"),
    "tracking.enabled=perhaps": ("tracking.enabled", "'perhaps'"),
    "tracking.uri=foo://bar": ("tracking.uri", "foo", "http"),
    "tracking.uri=foo://me:S3cret@bar": ("tracking.uri", "foo://***@bar"),
    "tracking.experiment=''": ("tracking.experiment",),
    "space.name=nope": ("no space is called 'nope'", "mobilenetv3"),
    "space.name=5": ("space.name", "5"),
    "space=null": ("nothing says what to search", "+search="),
    "space=[]": ("space",),
    "dataset=null": ("dataset",),
    "dataset.name=nope": ("no dataset is called 'nope'", "digits"),
    "sampler.name=nope": ("no sampler is called 'nope'", "tpe"),
    "estimator.name=trian": ("did you mean 'train'?",),
    "task.name=regression": ("no task is called 'regression'", "classification"),
    "weights=nope": ("weights", "nope"),
    "weights={tmp}/none.pth": ("weights", "none.pth"),
    "teacher={tmp}/none": ("/none is no finalist's folder",),
    "teacher=5": ("teacher", "5"),
    "+train.check_teachers=2": ("train.check_teachers: found 2, expected at most the 0",),
    "order=[squeezing]": ("order", "squeezing"),
    "~device.toy_device": ("device: none is chosen",),
    "device=null": ("device",),
    "device.toy_device.name=watch": ("no device is called 'watch'", "onnxruntime"),
    "device.toy_device.runtime=[nope]": ("nope",),
    "device.toy_device.place=moon": ("moon",),
    "objective=null": ("objective",),
    "objective.params=null": ("objective.params",),
    "objective.params.name=parms": ("did you mean 'params'?",),
    "objective.params.max=abc": ("objective.params.max", "'abc'"),
    "objective.params.max=nan": ("objective.params.max", "nan", "finite"),
    "objective.params.role=wish": ("objective.params.role", "'wish'"),
    "+objective.params.device=watch": ("objective.params.device", "watch", "toy_device"),
    "objective.params.max=1": ("objective.params", "at most 1", "smallest"),
    "objective.params.min=1e12": ("objective.params", "largest"),
    "objective.accuracy.min=90": ("objective.accuracy", "between 0 and 1", "0.9"),
    "compressor=null": ("compressor", "None"),
    "compressor.none={name: none}": ("no compressor is called 'none'",),
}

# What a real search's own files are needed for.
_REAL = {
    "dataset.imagesize=3": ("dataset.imagesize", "did you mean 'image_size'?"),
    "dataset.image_size=4": ("dataset.image_size", "found 4"),
    "dataset.image_size=1000000": ("dataset.image_size", "1000000"),
    "dataset.image_size=big": ("dataset.image_size", "'big'"),
    "device.threads=0": ("threads", "0"),
    "sampler.startup=-1": ("sampler.startup", "-1"),
    "sampler.startup=x": ("sampler.startup", "'x'"),
    "tracking=yes": ("tracking/yes", "off"),
    "compressor.pruning.ratios=[2.0]": ("compressor.pruning.ratios", "2.0"),
    "compressor=null": ("compressor", "compressor=[]"),
    "objective=null": ("objective", "accuracy"),
    "objective=[]": ("objective", "accuracy"),
    "objective=[accuracy,latency]": ("latency", "latency_ms"),
    "tracking=null": ("tracking", "off"),
    "sampler=nope": ("sampler/nope", "tpe"),
    "space.preset=smal": ("space.preset", "did you mean 'small'?"),
    "train.scales=[2.0]": ("train.scales", "2.0"),
    "dataset=image_folder": ("dataset.root",),
}

CONFIG = [
    *(plan(words, wanted=wanted) for words, wanted in {**_KEYS, **_VALUES}.items()),
    plan("objective.params.min=9", "objective.params.max=8", wanted=("objective.params", "9", "8")),
    plan("objective.params.role=reported", "objective.accuracy.role=reported", wanted=("role=",)),
    plan("~objective.accuracy", "~objective.params", wanted=("objective",)),
    *(_real(words, wanted=wanted) for words, wanted in _REAL.items()),
]
