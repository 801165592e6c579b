"""`build(architecture, *, classes, in_channels, image_size)`, as spaces and callers once had it.

One adapter around every space's `build`: whoever still writes or calls the old form is served, and
told what the form is now.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.outputs import Classes, Outputs
from orchestrator.errors import BuildError

__all__ = ["taking_both_forms"]

_MARK = "_takes_both_forms"
_NOW = (
    "is now build(architecture, facts: ImageFacts, outputs: Outputs); facts have image_size, "
    "in_channels and classes, outputs is Classes(count) or Maps(count, stride)"
)


def taking_both_forms(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` of a space, written in either form, made to answer calls of either form."""
    if getattr(build, _MARK, False) or getattr(build, "__isabstractmethod__", False):
        return build
    is_old = not _takes_facts(build)

    @wraps(build)
    def adapted(space: Any, architecture: Any, *given: Any, **named: Any) -> Any:
        if given or not {"classes", "in_channels", "image_size"} & set(named):
            if not is_old:
                return build(space, architecture, *given, **named)
            _warn(f"{type(space).__name__} defines the old build, which {_NOW}.")
            return build(space, architecture, **_old_sizes(space, *given, **named))
        if is_old:  # super().build(...) of an old class's old child
            return build(space, architecture, **named)
        _warn(f"the build of {type(space).__name__} was called in its old form; it {_NOW}.")
        return build(space, architecture, *_new_arguments(**named))

    setattr(adapted, _MARK, True)
    return adapted


def _takes_facts(build: Callable[..., Any]) -> bool:
    """Whether a space, an architecture, facts and outputs can be handed over."""
    try:
        inspect.signature(build).bind("space", "architecture", "facts", "outputs")
    except TypeError:
        return False
    return True


def _old_sizes(space: Any, facts: ImageFacts, outputs: Outputs) -> dict[str, int]:
    if not isinstance(outputs, Classes):
        raise BuildError(
            f"{space.name} builds classifiers only, found {outputs}: its build has the old form, "
            f"which {_NOW}."
        )
    return {
        "classes": outputs.count,
        "in_channels": facts.in_channels,
        "image_size": facts.image_size,
    }


def _new_arguments(
    *, classes: int, in_channels: int, image_size: int
) -> tuple[ImageFacts, Classes]:
    facts = ImageFacts.unnamed(image_size, in_channels=in_channels, classes=classes)
    return facts, Classes(classes)


def _warn(text: str) -> None:
    # The caller of `adapted`.
    warnings.warn(text, DeprecationWarning, stacklevel=3)
