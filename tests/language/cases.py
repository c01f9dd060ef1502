"""A small pipeline, and its expected results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One run of a pipeline.

    Attributes:
        pipeline: The function decorated with `@dsl.pipeline`.
        given: Its parameters.
        gives: What it returns, files as their text: the one output, or a dict of several. A pattern has to match.
        ran: The names of the tasks that ran, where it matters.
        refused: Part of why nothing runs.
        fails: Part of why the run fails.
        differs: Why kfp's local runner gives something else, and what Kubeflow does.
    """

    pipeline: Any
    given: Mapping[str, Any] = field(default_factory=dict)
    gives: Any = None
    ran: str | None = None
    refused: str = ""
    fails: str = ""
    differs: str = ""

    @property
    def name(self) -> str:
        """The pipeline's name and the parameters."""
        return "-".join([self.pipeline.name, *(f"{value!s:.12}" for value in self.given.values())])


def case(cases: list[Case], given: Mapping[str, Any] | None = None, **expected: Any) -> Callable[[Any], Any]:
    """Adds a case of the pipeline that it decorates."""

    def add(pipeline: Any) -> Any:
        cases.append(Case(pipeline, given or {}, **expected))
        return pipeline

    return add
