"""Which libraries processes load before they fork stages: trees of layers, built from what stages declare.

A fork copies only the thread that forks; a lock that another thread holds stays locked in the child. So no library may
have a running thread when the process forks:

- OpenBLAS (NumPy and SciPy bring one each) starts a thread per CPU on import. It ends them before each fork
  (`pthread_atfork`) and restarts them when they are needed.
- Arrow's jemalloc starts a thread that returns memory to the kernel. `ENVIRONMENT` disables it; the threads that free
  memory then return it themselves.
- TensorFlow starts threads when it is first used. Before a fork it is only imported, which does not open devices
  either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from components.contract.declaration import Libraries, Stage

ENVIRONMENT = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""The environment variables for a process that loads these libraries and forks."""

LIGHT = ""
"""The name of the tree for all stages whose libraries need no separate process."""


@dataclass(frozen=True)
class Layer:
    """What one process loads in addition to the layers above it.

    Attributes:
        libraries: The libraries that it loads.
        stages: The stages that need these libraries and those above, but none of those below.
        below: The layers that load more, each in a process of its own.
    """

    libraries: Libraries
    stages: tuple[str, ...] = ()
    below: tuple[Layer, ...] = ()

    def serves(self, stage: str, imports: Collection[str] = ()) -> bool:
        """Whether a stage whose user module imports these names is forked from this layer or one below."""
        wanted = any(name in self.libraries.wanted for name in imports)
        return stage in self.stages or wanted or any(layer.serves(stage, imports) for layer in self.below)


def trees(stages: Iterable[Stage]) -> dict[str, Layer]:
    """The trees that fork these stages, by the name that `tree` gives; the process of each starts when it is needed."""
    grouped: dict[str, list[Stage]] = {}
    for stage in stages:
        grouped.setdefault(tree(stage), []).append(stage)
    return {name: _tree(members) for name, members in grouped.items()}


def tree(stage: Stage) -> str:
    """The name of the tree that forks a stage: the first module of its root, or LIGHT."""
    return stage.loads[0].modules[0] if _is_separate(stage) else LIGHT


def _tree(stages: list[Stage]) -> Layer:
    if _is_separate(stages[0]):
        return _layer(stages[0].loads[0], 1, stages)
    return _layer(Libraries(()), 0, stages)


def _is_separate(stage: Stage) -> bool:
    return bool(stage.loads) and stage.loads[0].is_separate


def _layer(libraries: Libraries, depth: int, stages: list[Stage]) -> Layer:
    """The layer at a depth, with the layers below it; `stages` are all stages forked from any of them."""
    below: dict[Libraries, list[Stage]] = {}
    for stage in stages:
        if len(stage.loads) > depth:
            below.setdefault(stage.loads[depth], []).append(stage)
    return Layer(
        libraries,
        tuple(stage.name for stage in stages if len(stage.loads) == depth),
        tuple(_layer(inner, depth + 1, members) for inner, members in below.items()),
    )
