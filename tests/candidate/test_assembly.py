from __future__ import annotations

import pytest

from orchestrator.candidate.assembly import check_compressors
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed


def compressor(name: str) -> object:
    return installed().create("compressor", name, {})


def test_two_losses_are_refused_rather_than_one_forgotten() -> None:
    twice = [compressor("distillation"), compressor("distillation")]
    with pytest.raises(ConfigError, match="each replace the training loss"):
        check_compressors(twice, frozenset({"onnx"}))


def test_a_compressor_without_what_it_requires_is_refused() -> None:
    with pytest.raises(ConfigError, match="requires \\['onnx'\\]"):
        check_compressors([compressor("quantization")], frozenset({"pte"}))


def test_the_built_in_pipeline_is_legal() -> None:
    names = ("distillation", "pruning", "quantization")
    check_compressors([compressor(name) for name in names], frozenset({"onnx"}))
