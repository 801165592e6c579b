"""What torch's commonest functions give, and of which operations they consist, told by rule.

Where a rule does not fit exactly, there is none, and the function is done on the meta device, which
takes from a tenth of a millisecond to one.
"""

from __future__ import annotations

from typing import Any

from orchestrator_objectives.layer_rules import LAYER_RULES, Told
from orchestrator_objectives.product_rules import PRODUCT_RULES
from orchestrator_objectives.view_rules import VIEW_RULES

__all__ = ["told"]

_RULES = LAYER_RULES | PRODUCT_RULES | VIEW_RULES


def told(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Told:
    """None where no rule says it, as for what torch refuses."""
    rule = _RULES.get(function)
    if rule is None:
        return None
    try:
        return rule(*args, **kwargs)
    except (TypeError, AttributeError):
        return None  # given in another way, or other things, than modules do
