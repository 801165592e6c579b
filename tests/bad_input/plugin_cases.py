"""Plugins that break their contract; see `misbehaving`."""

from __future__ import annotations

from cases import Case, plan

__all__ = ["PLUGINS"]


def _objective(name: str, *wanted: str) -> Case:
    asked = ("ours", f"'{name}'", *wanted)
    return plan(f"objective.{name}={{name: {name}}}", wanted=asked)


def _part(group: str, name: str, *wanted: str) -> Case:
    return plan(f"{group}.name={name}", wanted=("ours", f"'{name}'", *wanted))


PLUGINS = [
    _objective("plain", "orchestrator.Objective", "Plain"),
    _objective("strange", "orchestrator.Objective"),
    _objective("abstract", "orchestrator.Objective", "Abstract", "measure"),
    _objective("nameless", "orchestrator.Objective", "name"),
    _objective("unitless", "orchestrator.Objective", "unit"),
    _objective("tierless", "orchestrator.Objective", "tier"),
    _objective("downwards", "orchestrator.Objective", "direction", "'down'", "minimize"),
    _objective("later", "orchestrator.Objective", "tier", "'later'", "static"),
    _objective("unitofnumber", "orchestrator.Objective", "unit", "5"),
    _objective("raising", "orchestrator.Objective", "measure", "there is no answer"),
    _objective("texting", "orchestrator.Objective", "measure", "'a lot'"),
    _objective("notanumber", "orchestrator.Objective", "measure", "nan"),
    _objective("endless", "orchestrator.Objective", "measure", "inf"),
    _objective("unmade", "no constructor today"),
    _objective("manyimages", "orchestrator.Objective", "training_images", "'many'"),
    _objective("absent", "does not load"),
    _objective("lacking", "no-such-package", "pip install"),
    _objective("elsewhere", "does not load", "no_such_module"),
    _objective("targetless", "misbehaving"),
    _part("space", "plain", "orchestrator.SearchSpace"),
    _part("space", "unsuggesting", "orchestrator.SearchSpace", "suggest", "nothing comes to mind"),
    _part("space", "strange", "orchestrator.SearchSpace", "suggest", "JSON"),
    _part("space", "listing", "orchestrator.SearchSpace", "suggest", "[1, 2]"),
    _part("space", "tupled", "orchestrator.SearchSpace", "pair", "tuple"),
    _part("space", "unbuilding", "orchestrator.SearchSpace", "build", "no bricks"),
    _part("space", "nothing", "orchestrator.SearchSpace", "build", "None"),
    _part("space", "toofew", "orchestrator.SearchSpace", "(1, 3)", "(1, 2)"),
    _part("space", "presetless", "orchestrator.SearchSpace", "presets", "'small'"),
    _part("space", "misnamed", "orchestrator.SearchSpace", "published", "no paper"),
    _part("dataset", "plain", "orchestrator.Dataset"),
    _part("dataset", "emptyhanded", "orchestrator.Dataset", "classes"),
    _part("device.toy_device", "plain", "orchestrator.Device"),
    _part("device.toy_device", "formatless", "orchestrator.Device", "formats"),
    _part("task", "plain", "orchestrator.Task"),
    _part("estimator", "plain", "orchestrator.Estimator"),
    _part("estimator", "unestimating", "orchestrator.Estimator", "estimate"),
    _part("sampler", "unproposing", "orchestrator.Sampler", "propose"),
    _part("sampler", "none", "orchestrator.Sampler", "5"),
    plan("compressor.plain={name: plain}", wanted=("ours", "orchestrator.Compressor")),
    plan("compressor.no_kind={name: nokind}", wanted=("ours", "orchestrator", "NetworkComp")),
    plan("compressor.un={name: uncompressing}", wanted=("ours", "Compressor", "compress")),
    plan("device.toy_device.place=plain", wanted=("plain",)),
]
