"""Plugins that are made without a fault, and of which one method breaks once it is asked."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Any

from toys import Halving, ToyData, ToyDevice, ToyEstimator

from orchestrator import Offer, hookimpl
from orchestrator.testing.toys import ToySpace

__all__ = ["LateMisbehaving"]


def _raises(self: Any, *told: Any, **more: Any) -> Any:
    raise LookupError("there is no such thing")


def _talks(self: Any, *told: Any, **more: Any) -> Any:
    return "many words"


def _is_silent(self: Any, *told: Any, **more: Any) -> Any:
    return None


# Config group → a class that works, and what its methods do instead when they are asked.
_BROKEN: dict[str, tuple[type, dict[str, Any]]] = {
    "device": (
        ToyDevice,
        {
            "check_raises": _raises,
            "compile_raises": _raises,
            "compile_silent": _is_silent,
            "fingerprint_talks": _talks,
            "calibrate_talks": _talks,
            "latencies_raises": _raises,
            "latencies_silent": _is_silent,
        },
    ),
    "estimator": (
        ToyEstimator,
        {"training_epochs_raises": _raises, "training_epochs_talks": _talks},
    ),
    "dataset": (ToyData, {"split_raises": _raises}),
    "compressor": (Halving, {"suggest_raises": _raises, "suggest_talks": _talks}),
    "space": (ToySpace, {"unchanged_raises": _raises, "unchanged_silent": _is_silent}),
}


def _method(does: Any, name: str) -> Any:
    """The same under the name of the method whose place it takes, as written there."""
    code: CodeType = does.__code__
    return FunctionType(code.replace(co_name=name), globals(), name)


def _offers(family: str) -> list[Offer]:
    return [Offer(name, f"{__name__}:{family}_{name}", "") for name in _BROKEN[family][1]]


for _family, (_kind, _ways) in _BROKEN.items():
    for _name, _does in _ways.items():
        _asked = _name.rpartition("_")[0]
        _members = {_asked: _method(_does, _asked), "__module__": __name__}
        globals()[f"{_family}_{_name}"] = type(_name, (_kind,), _members)


class LateMisbehaving:
    @hookimpl
    def orchestrator_devices(self) -> list[Offer]:
        return _offers("device")

    @hookimpl
    def orchestrator_estimators(self) -> list[Offer]:
        return _offers("estimator")

    @hookimpl
    def orchestrator_datasets(self) -> list[Offer]:
        return _offers("dataset")

    @hookimpl
    def orchestrator_compressors(self) -> list[Offer]:
        return _offers("compressor")

    @hookimpl
    def orchestrator_search_spaces(self) -> list[Offer]:
        return _offers("space")
