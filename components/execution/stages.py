"""The stages: every folder beside this one that has a `stage.py`.

Importing a stage loads nothing heavy: what does the work is imported by the function's body.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from pathlib import Path

from components.contract.declaration import Stage
from components.contract.errors import UserError

_FOLDER = Path(__file__).parents[1]


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all stages, sorted; none is imported."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/stage.py")))


def load(name: str) -> Stage:
    """What a stage declares.

    Raises:
        UserError: There is no stage of that name.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise UserError(
            f"there is no stage {name!r}",
            fix=f"did you mean {near[0]!r}?" if near else f"the stages are {', '.join(names())}",
        )
    stage: Stage = importlib.import_module(f"components.{name}.stage").STAGE
    return stage


def in_order() -> list[Stage]:
    """All stages in the order of a usual pipeline; those that may follow the same one by name."""
    return sorted(map(load, names()), key=lambda stage: (_depth(stage), stage.name))


def _depth(stage: Stage) -> int:
    return 1 + _depth(load(stage.after)) if stage.after else 0
