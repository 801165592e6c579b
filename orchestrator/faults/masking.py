"""Passwords and tokens in addresses, which are told nowhere: not on the screen, not in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MASK", "masked", "masked_values", "secrets_of", "unmasked_values"]

MASK = "***"

# Before the host, "user:password@" or "token@"; a password may hold "@", a host may not.
_USER = re.compile(r"(?<=://)[^\s/?#'\"]+@")
# After it, a value whose name says what it is.
_QUERY = re.compile(
    r"(?i)(?<=[?&;])([\w.-]*(?:password|passwd|pwd|token|secret|key|signature|sig)[\w.-]*=)[^&;#\s'\"]+"
)


def masked(text: str) -> str:
    """The text without what stands before the host of an address, and without secret parameters.

    "postgresql://me:secret@db/x?password=p" → "postgresql://***@db/x?password=***".
    """
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\g<1>{MASK}", _USER.sub(f"{MASK}@", text))


def masked_values(value: Any) -> Any:
    """JSON values with every text masked."""
    return _each(value, "", lambda path, text: masked(text))


def secrets_of(value: Any) -> dict[str, str]:
    """What is masked of JSON values: the keys that lead there, joined by dots → the whole text."""
    found: dict[str, str] = {}

    def note(path: str, text: str) -> str:
        if masked(text) != text:
            found[path] = text
        return text

    _each(value, "", note)
    return found


def unmasked_values(value: Any, secrets: Mapping[str, str]) -> Any:
    """Masked values with what `secrets_of` told, where they are still those that were masked."""

    def known(path: str, text: str) -> str:
        secret = secrets.get(path, text)
        return secret if masked(secret) == text else text

    return _each(value, "", known)


def _each(value: Any, path: str, change: Callable[[str, str], str]) -> Any:
    """The values with every text changed; `change` is told where it stands."""
    if isinstance(value, str):
        return change(path, value)
    if isinstance(value, Mapping):
        return {key: _each(item, f"{path}.{key}", change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each(item, f"{path}.{number}", change) for number, item in enumerate(value)]
    return value
