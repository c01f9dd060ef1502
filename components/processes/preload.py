"""Which libraries processes load before they fork stages: trees of layers, from what stages declare (`Stage.loads`).

A fork copies the thread that forks and no other; a lock that another thread holds stays locked in the child. So none of
these may have a thread at the moment of a fork:

- OpenBLAS, of which NumPy and SciPy bring one each, starts a thread a CPU on import. It ends them before each fork
  (`pthread_atfork`) and starts them again when it has work.
- Arrow's jemalloc starts a thread that gives memory back to the kernel. `ENVIRONMENT` switches it off; memory is then
  given back by the threads that free it.
- TensorFlow starts threads when it is used. Before a fork it is only imported, which opens no device either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from components.contract.declaration import Libraries, Stage

ENVIRONMENT = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What a process that loads these libraries and forks has to be started with."""

LIGHT = ""
"""The name of the tree of all stages whose libraries ask for no process of their own."""


@dataclass(frozen=True)
class Layer:
    """What one process loads, beside the layers above.

    Attributes:
        libraries: What it loads.
        stages: The stages that need these and those above, and none of the layers below.
        below: The layers that load more, each in a process of its own, side by side.
    """

    libraries: Libraries
    stages: tuple[str, ...] = ()
    below: tuple[Layer, ...] = ()

    def serves(self, stage: str, imports: Collection[str] = ()) -> bool:
        """Whether a stage, whose user's module imports these names, starts from this layer or one below."""
        wanted = any(name in self.libraries.wanted for name in imports)
        return stage in self.stages or wanted or any(layer.serves(stage, imports) for layer in self.below)


def trees(stages: Iterable[Stage]) -> dict[str, Layer]:
    """The trees that fork these stages, each by the name that `tree` gives; a process starts each when it is needed."""
    grouped: dict[str, list[Stage]] = {}
    for stage in stages:
        grouped.setdefault(tree(stage), []).append(stage)
    return {name: _tree(members) for name, members in grouped.items()}


def tree(stage: Stage) -> str:
    """The name of the tree that forks a stage: the first module of its root, or LIGHT."""
    return stage.loads[0].modules[0] if _is_apart(stage) else LIGHT


def _tree(stages: list[Stage]) -> Layer:
    if _is_apart(stages[0]):
        return _layer(stages[0].loads[0], 1, stages)
    return _layer(Libraries(()), 0, stages)


def _is_apart(stage: Stage) -> bool:
    return bool(stage.loads) and stage.loads[0].apart


def _layer(libraries: Libraries, depth: int, stages: list[Stage]) -> Layer:
    """A layer at a depth, and those below; `stages` are the ones that are forked from any of them."""
    below: dict[Libraries, list[Stage]] = {}
    for stage in stages:
        if len(stage.loads) > depth:
            below.setdefault(stage.loads[depth], []).append(stage)
    return Layer(
        libraries,
        tuple(stage.name for stage in stages if len(stage.loads) == depth),
        tuple(_layer(inner, depth + 1, members) for inner, members in below.items()),
    )
