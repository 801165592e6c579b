"""Options from a configuration, checked against the constructor that they are for."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from orchestrator.errors import ConfigError, PluginError, closest
from orchestrator.faults.wording import wrong_values

__all__ = ["checked_options"]


def checked_options(factory: Any, options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options of the right names and types; ConfigError otherwise."""
    import pydantic

    signature = inspect.signature(factory)
    accepted = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    for key in options:
        if key not in accepted:
            raise ConfigError(f"{where}.{key}: unknown key; {closest(key, accepted)}")
    schema: dict[str, Any] = {
        name: (
            _annotation(factory, parameter),
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in accepted.items()
    }
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    model = pydantic.create_model("Options", __config__=config, **schema)
    try:
        filled = model.model_validate(options)
    except pydantic.ValidationError as error:
        wrong = (replace(each, path=(where, *each.path)) for each in wrong_values(error, options))
        lines = [
            f"{each.where}: {each.told}. {each.mended(accepted[each.path[1]].default)}"
            for each in wrong
        ]
        raise ConfigError("\n".join(lines)) from None
    return {name: getattr(filled, name) for name in options}


def _annotation(factory: Any, parameter: inspect.Parameter) -> Any:
    """A parameter's type; the return type is left alone, as it may exist for checkers only."""
    if parameter.annotation is parameter.empty:
        return Any
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return eval(parameter.annotation, function.__globals__)
    except Exception as error:
        raise PluginError(
            f"option {parameter.name!r} of {factory.__module__}.{factory.__qualname__} is typed "
            f"{parameter.annotation!r}, which means nothing while it runs: {error}. Import the "
            "type plainly, not only for type checkers."
        ) from error
