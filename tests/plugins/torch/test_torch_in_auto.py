from __future__ import annotations

import orchestrator_onnxruntime
import orchestrator_places
import orchestrator_torch

from orchestrator.candidate.devices import settle_runtimes
from orchestrator.config import Chosen, DeviceConfig, StudyConfig
from orchestrator.plugins import Plugins


def test_what_costs_each_candidate_too_much_is_left_out_of_auto_and_told() -> None:
    plugins = Plugins.empty()
    for module in (orchestrator_onnxruntime, orchestrator_places, orchestrator_torch):
        plugins.register(module, module.__name__, "ours")
    device = DeviceConfig("onnxruntime", runtime="auto")
    other = Chosen("any")
    config = StudyConfig(other, other, {"onnxruntime": device}, other, other, {})

    settled = settle_runtimes(config, plugins)

    runtimes = settled.config.device["onnxruntime"].runtime
    assert "torch" not in runtimes and "torch_compiled" not in runtimes
    assert any("without runtime torch_compiled: compiling takes" in n for n in settled.notes)
