"""What a stage declares about itself: `STAGE` in its folder's `stage.py`.

`python -m components`, the pipeline language, the runner and the docs find stages by that file and read everything
from `STAGE`. No other code names a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from components.contract.signature import REPORT, Port, ports


@dataclass(frozen=True)
class Libraries:
    """Libraries that a process loads together before it forks the stages that need them.

    Attributes:
        modules: The modules to import.
        wanted: Names that a user's module may import; a stage that runs such a module is forked from here or below.
        is_separate: Whether they are loaded in a process of their own, started for the first stage that needs them.
    """

    modules: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    is_separate: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage.

    Attributes:
        function: The function that does the work; the stage and its folder have the function's name.
        image: The image that it runs in, a target of docker/Dockerfile; this limits the libraries that it may import.
        loads: What a process has loaded before it forks the stage, in this order; see `components.processes.preload`.
        after: The stage before it in a typical pipeline; the docs list the stages in that order.
        calls: Stages whose modules it imports because their work is part of its own.
        alone: Whether it keeps its own container where neighbouring stages share one (`taxiway.fusion`).
        always_runs: Whether its tasks are never taken from a cache, because what they read changes between runs.
        has_report: Whether its folder has a `report.py`, which says how reports show its outputs.
    """

    function: Callable[..., Any]
    image: Literal["serve", "data", "train"]
    loads: tuple[Libraries, ...] = ()
    after: str = ""
    calls: tuple[str, ...] = ()
    alone: bool = False
    always_runs: bool = False
    has_report: bool = False

    @property
    def name(self) -> str:
        """The stage's name in commands and compiled pipelines, such as `example_gen`."""
        return self.function.__name__

    @property
    def ports(self) -> list[Port]:
        """Its inputs, parameters and outputs: those of its function, and its report."""
        return [*ports(self.function), *([REPORT] if self.has_report else [])]

    @property
    def component(self) -> str:
        """The stage's name in pipelines, such as `ExampleGen`."""
        return component_name(self.name)


def component_name(stage: str) -> str:
    """The name that pipelines use for a stage."""
    return "".join(map(str.title, stage.split("_")))
