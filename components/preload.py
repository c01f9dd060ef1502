"""What stages import when they work, in the order in which a process that forks them loads it.

None of these starts a thread or opens a device on import; TensorFlow is only imported before a fork, never used.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """Libraries that are loaded together, and the stages that need these and those of the layers before."""

    modules: tuple[str, ...]
    stages: tuple[str, ...]


LIGHT = (
    Layer((), ("baseline", "pusher")),
    Layer(("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"), ("example_gen",)),
)
HEAVY = (
    Layer(
        ("tensorflow_data_validation", "pyarrow.parquet"),
        ("statistics_gen", "schema_gen", "example_validator"),
    ),
    Layer(("tensorflow_transform", "keras"), ("transform", "trainer")),
    Layer(("tensorflow_model_analysis",), ("evaluator",)),
)


def is_heavy(stage: str) -> bool:
    """Whether a stage needs TensorFlow."""
    return any(stage in layer.stages for layer in HEAVY)
