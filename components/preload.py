"""What stages import when they work, in the order in which a process that forks them loads it.

None of these starts a thread or opens a device on import; TensorFlow is only imported before a fork, never used.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """Libraries that are loaded together.

    Attributes:
        modules: What to import.
        stages: The stages that need these modules and those of the layers before, and none of the layers after.
        wanted: Names that a user's module may import; a stage that runs such a module waits for this layer.
    """

    modules: tuple[str, ...]
    stages: tuple[str, ...]
    wanted: tuple[str, ...] = ()

    def serves(self, stage: str, imports: Collection[str]) -> bool:
        """Whether a stage, whose user's module imports these names, starts from this layer or a later one."""
        return stage in self.stages or any(name in self.wanted for name in imports)


LIGHT = (
    Layer((), ("baseline", "pusher")),
    Layer(("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"), ("example_gen",)),
)
HEAVY = (
    Layer(
        ("tensorflow_data_validation", "pyarrow.parquet"),
        ("statistics_gen", "schema_gen", "example_validator"),
    ),
    Layer(("tensorflow_transform",), ("transform", "trainer")),
    # What modules written for TFX import first; it takes as long as a whole stage, and both stages would pay it.
    Layer(("tfx.components",), (), wanted=("tfx",)),
    Layer(("tensorflow_model_analysis",), ("evaluator",)),
)


def is_heavy(stage: str) -> bool:
    """Whether a stage needs TensorFlow."""
    return any(stage in layer.stages for layer in HEAVY)
