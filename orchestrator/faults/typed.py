"""Whether values are what a class says of them: for what was stored, and for what plugins offer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from orchestrator.faults.printable import printable
from orchestrator.faults.wording import wrong_values

__all__ = ["annotated", "faults", "made"]

T = TypeVar("T")

# Of a wrong value so many characters are told.
_TOLD = 120


def made(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass of these values; TypeError names the first that is not what the class says.

    Nothing is converted: a number that came as text is damage.
    """
    if not isinstance(values, Mapping):
        found = printable(repr(values), _TOLD)
        raise TypeError(f"found {found}, expected names and values of a {kind.__name__}")
    if wrong := faults(kind, values, strict=True):
        raise TypeError(wrong[0])
    return kind(**values)


def faults(kind: type, values: Mapping[str, Any], *, strict: bool) -> list[str]:
    """What is wrong with values by the annotations of a class, one sentence each; names that it
    does not annotate are passed over. Unless `strict`, a list may stand for a tuple or a set.
    """
    import pydantic

    try:
        _form(kind).validate_python(dict(values), strict=strict)
    except pydantic.ValidationError as error:
        return [f"{wrong.where}: {wrong.told}" for wrong in wrong_values(error, values)]
    return []


def annotated(kind: type) -> list[str]:
    """The names that a class and those it is of annotate for everybody."""
    return [name for name in get_type_hints(kind) if not name.startswith("_")]


@cache
def _form(kind: type) -> Any:
    import pydantic
    from typing_extensions import TypedDict

    hints = {name: _plain(hint) for name, hint in get_type_hints(kind).items()}
    if dataclasses.is_dataclass(kind):
        hints = {item.name: hints[item.name] for item in dataclasses.fields(kind)}
    form = TypedDict(kind.__name__, hints, total=False)  # type: ignore[misc]
    form.__pydantic_config__ = pydantic.ConfigDict(arbitrary_types_allowed=True)  # type: ignore[attr-defined]
    return pydantic.TypeAdapter(form)


def _plain(hint: Any) -> Any:
    """The type within a ClassVar."""
    return get_args(hint)[0] if get_origin(hint) is ClassVar else hint
