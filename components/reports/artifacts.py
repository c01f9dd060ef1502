"""The sections about artifacts, by type: what the `report.py` of every stage says, in the order of a usual pipeline."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence

from components.contract.artifacts import Artifact
from components.execution import stages
from components.reports.page import Section
from components.reports.ran import Ran

Renderer = Callable[[Artifact, Ran], Section | None]
"""Makes the section about an artifact and what came with it, or None if there is nothing to show.

It reads the artifact's files and may raise anything.
"""

Sections = Sequence[tuple[type[Artifact], Renderer]]
"""`SECTIONS` in a stage's `report.py`: by the type of an output, which may have several."""


def alone(renderer: Callable[[Artifact], Section]) -> Renderer:
    """A renderer that needs the artifact only."""
    return lambda artifact, _: renderer(artifact)


def of_stage(name: str) -> Sections:
    """The sections about a stage's outputs."""
    found: Sections = importlib.import_module(module_of(name)).SECTIONS
    return found


def module_of(name: str) -> str:
    """The module that says how reports show a stage's outputs."""
    return f"components.{name}.report"


@functools.cache
def renderers() -> Sequence[tuple[str, Renderer]]:
    """Those of all stages, by the name of the artifact's type."""
    reporting = (stage.name for stage in stages.in_order() if stage.has_report)
    return [(kind.__name__, renderer) for name in reporting for kind, renderer in of_stage(name)]
