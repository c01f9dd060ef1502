"""What a stage says about itself: `STAGE`, in the `stage.py` of its folder.

`python -m components`, the pipeline language, the runner and the docs find stages by that file, and learn everything
from here. Nothing else names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Libraries:
    """Libraries that a process loads together before it forks the stages that need them.

    Attributes:
        modules: What to import.
        wanted: Names that a user's module may import; a stage that runs such a module is forked from here or below.
        apart: Whether a process of their own loads them, started for the first stage that needs them.
    """

    modules: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    apart: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage.

    Attributes:
        function: Its work, a function of paths and values; the stage has the function's name, as has its folder.
        image: The image that it runs in, a target of docker/Dockerfile, and so the libraries that it may import.
        loads: What a process that forks it has loaded, in this order; see `components.processes.preload`.
        after: The stage that it follows in a usual pipeline; docs list the stages in that order.
        calls: Stages whose modules it imports, because their work is a part of its own.
        alone: Whether it keeps its own container where neighbouring stages share one (`taxiway.fusion`).
    """

    function: Callable[..., Any]
    image: Literal["serve", "data", "train"]
    loads: tuple[Libraries, ...] = ()
    after: str = ""
    calls: tuple[str, ...] = ()
    alone: bool = False

    @property
    def name(self) -> str:
        """Its name in commands and compiled pipelines, such as `example_gen`."""
        return self.function.__name__

    @property
    def component(self) -> str:
        """Its name in pipelines, such as `ExampleGen`."""
        return component_name(self.name)


def component_name(stage: str) -> str:
    """What a pipeline calls a stage of this name."""
    return "".join(map(str.title, stage.split("_")))
