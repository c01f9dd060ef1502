"""What stages import when they work, in the order in which a process that forks them loads it.

A fork copies the thread that forks and no other; a lock that another thread holds stays locked in the child. So none of
these may have a thread at the moment of a fork:

- OpenBLAS, of which NumPy and SciPy bring one each, starts a thread a CPU on import. It ends them before each fork
  (`pthread_atfork`) and starts them again when it has work.
- Arrow's jemalloc starts a thread that gives memory back to the kernel. `ENVIRONMENT` switches it off; memory is then
  given back by the threads that free it.
- TensorFlow starts threads when it is used. Before a fork it is only imported, which opens no device either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

ENVIRONMENT = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What a process that loads these libraries and forks has to be started with."""


@dataclass(frozen=True)
class Layer:
    """Libraries that are loaded together, by a process that has those of the layers above.

    Attributes:
        modules: What to import.
        stages: The stages that need these modules and those above, and none of the layers below.
        wanted: Names that a user's module may import; a stage that runs such a module starts from here or from below.
        below: The layers that load more, each in a process of its own, side by side.
    """

    modules: tuple[str, ...]
    stages: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    below: tuple[Layer, ...] = ()

    def serves(self, stage: str, imports: Collection[str] = ()) -> bool:
        """Whether a stage, whose user's module imports these names, starts from this layer or one below."""
        wanted = any(name in self.wanted for name in imports)
        return stage in self.stages or wanted or any(layer.serves(stage, imports) for layer in self.below)

    def served(self) -> tuple[str, ...]:
        """The stages that start from this layer or one below."""
        return (*self.stages, *(stage for layer in self.below for stage in layer.served()))


LIGHT = Layer(
    (),
    ("baseline", "pusher"),
    below=(Layer(("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"), ("example_gen",)),),
)
# All of TFX takes as long to load as a stage takes to run, and transform and trainer would pay it, each by itself.
_TFX = Layer(("tfx.components",), wanted=("tfx.v1",), below=(Layer(("tensorflow_model_analysis",), ("evaluator",)),))
HEAVY = Layer(
    ("tensorflow",),
    below=(
        Layer(
            ("tensorflow_data_validation", "pyarrow.parquet"),
            ("statistics_gen", "schema_gen", "example_validator", "infra_validator"),
        ),
        Layer(
            # With TFDV, which transform computes statistics by, and what modules written for TFX import first.
            (
                "tensorflow_transform",
                "tensorflow_data_validation",
                "pyarrow.parquet",
                "components.user_code.tfx_fn_args",
            ),
            ("transform", "trainer"),
            below=(_TFX,),
        ),
    ),
)
