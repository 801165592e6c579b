"""What pydantic finds wrong with values, in sentences of ours: what was found and expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.faults.printable import printable

if TYPE_CHECKING:
    import pydantic

__all__ = ["Wrong", "wrong_values"]

# Of a wrong value so many characters are told.
_TOLD = 200
_MISSING, _SHORT = "missing", "too_short"
# The kind of an error → what was expected; what stands in braces the error tells itself.
_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size"), "an integer"),
    "int_from_float": "an integer",
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "none_required": "null",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:.10g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of at most {le:.10g}",
    "literal_error": "{expected}",
    _SHORT: "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("mapping_type", "dict_type", "dataclass_type"), "names and values"),
}
# What a check of ours, or pydantic, says before what was expected.
_BEFORE = ("Value error, ", "expected ", "Input should be ")


@dataclass(frozen=True)
class Wrong:
    """A value that is not what its type says; `path` is where it stands, from the outermost key."""

    path: tuple[str, ...]
    found: str
    expected: tuple[str, ...]
    missing: bool = False

    @property
    def where(self) -> str:
        """The keys that lead there, joined by dots."""
        return ".".join(self.path)

    @property
    def told(self) -> str:
        """Such as "found -1, expected a number greater than 0"."""
        if self.missing:
            return "found nothing, expected a value"
        return f"found {self.found}, expected {' or '.join(self.expected)}"

    def mended(self, default: Any) -> str:
        """A sentence on what to do: one that fits, or that nothing needs to be said."""
        if self.missing:
            return f"Give it, as {self.where}=VALUE."
        if isinstance(default, bool | int | float | str) and str(default):
            shown = str(default).lower() if isinstance(default, bool) else default
            return f"One that fits is {self.where}={shown}."
        return "Change it, or leave it out."


def wrong_values(error: pydantic.ValidationError, data: Any) -> list[Wrong]:
    """Each value of `data` once, whatever it might have been; printable and without passwords."""
    found: dict[tuple[str, ...], Wrong] = {}
    items = error.errors()
    # Of a list, members that are wrong are counted as missing from it.
    short = {item["loc"] for item in items if item["type"] == _SHORT}
    within = {item["loc"][:n] for item in items for n in range(len(item["loc"]))}
    for item in items:
        if item["loc"] in short & within:
            continue
        path = _path(item["loc"], data, missing=item["type"] == _MISSING)
        told = printable(repr(item["input"]), _TOLD)
        before = found.get(path)
        expected = (*before.expected, _expected(item)) if before else (_expected(item),)
        once = tuple(dict.fromkeys(expected))
        found[path] = Wrong(path, told, once, missing=item["type"] == _MISSING)
    return list(found.values())


def _expected(item: Mapping[str, Any]) -> str:
    text: str = _EXPECTED.get(item["type"], "")
    if text:
        return text.format(**item.get("ctx", {}))
    said = str(item["msg"])
    for begin in _BEFORE:
        said = said.removeprefix(begin)
    return said


def _path(location: Sequence[str | int], data: Any, *, missing: bool) -> tuple[str, ...]:
    """Keys and places alone: pydantic names the members of a union among them."""
    path: list[str] = []
    for part in location:
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(part, int):
            data = data[part] if isinstance(data, Sequence) and part < len(data) else None
        elif is_dataclass(data) and hasattr(data, str(part)):
            data = getattr(data, str(part))
        elif not missing:
            continue
        path.append(str(part))
    return tuple(path)
