"""The stages by name. A stage `x` is the function `x` in `components/x/stage.py`.

Importing a stage loads nothing heavy: what does the work is imported by the function's body.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any

from components.contract.errors import UserError

STAGES = (
    "example_gen",
    "statistics_gen",
    "schema_gen",
    "example_validator",
    "transform",
    "trainer",
    "baseline",
    "evaluator",
    "infra_validator",
    "pusher",
)


def load(name: str) -> Callable[..., Any]:
    """The function of a stage.

    Raises:
        UserError: There is no stage of that name.
    """
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, n=1)
        raise UserError(
            f"there is no stage {name!r}",
            fix=f"did you mean {near[0]!r}?" if near else f"the stages are {', '.join(STAGES)}",
        )
    function: Callable[..., Any] = getattr(importlib.import_module(f"components.{name}.stage"), name)
    return function
