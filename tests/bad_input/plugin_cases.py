"""Plugins that break their contract; see `misbehaving`."""

from __future__ import annotations

from cases import Case, plan

__all__ = ["PLUGINS"]


def _objective(name: str, *wanted: str) -> Case:
    asked = ("ours", f"'{name}'", *wanted)
    return plan(f"objective.{name}={{name: {name}}}", wanted=asked)


def _part(group: str, name: str, *wanted: str) -> Case:
    return plan(f"{group}.name={name}", wanted=("ours", f"'{name}'", *wanted))


def _late(group: str, name: str, contract: str, *wanted: str) -> Case:
    """One that only breaks when it is asked; a device is asked where there is a latency."""
    asked = f"{group}.late={{name: {name}}}" if group == "compressor" else f"{group}.name={name}"
    more = ("objective.latency_ms={name: latency_ms}",) if group.startswith("device") else ()
    method = name.rpartition("_")[0]
    told = ("of late_misbehaving", f":{name}", f"orchestrator.{contract}", method, *wanted)
    return plan(asked, *more, wanted=told)


_DEVICE, _ASKED = "device.toy_device", "lookuperror('there is no such thing')"

PLUGINS = [
    _late(_DEVICE, "check_raises", "Device", _ASKED, "late_misbehaving.py, line"),
    _late(_DEVICE, "compile_raises", "Device", _ASKED),
    _late(_DEVICE, "compile_silent", "Device", "None", "an Artifact"),
    _late(_DEVICE, "fingerprint_talks", "Device", "'many words'", "names and texts"),
    _late(_DEVICE, "calibrate_talks", "Device", "'many words'", "milliseconds"),
    _late(_DEVICE, "latencies_raises", "Device", _ASKED),
    _late(_DEVICE, "latencies_silent", "Device", "None", "a Latency for each"),
    _late("estimator", "training_epochs_raises", "Estimator", _ASKED),
    _late("estimator", "training_epochs_talks", "Estimator", "'many words'", "epochs ahead"),
    _late("dataset", "split_raises", "Dataset", _ASKED),
    _late("compressor", "suggest_raises", "Compressor", _ASKED),
    _late("compressor", "suggest_talks", "Compressor", "'many words'", "names and values"),
    _late("space", "unchanged_raises", "SearchSpace", _ASKED),
    _late("space", "unchanged_silent", "SearchSpace", "None", "names and reasons"),
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
