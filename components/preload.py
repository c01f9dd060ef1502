"""What each stage imports when it works, for a process that forks stages from libraries loaded once.

None of these starts a thread or opens a device on import; TensorFlow is only imported before a fork, never used.
"""

from __future__ import annotations

PRELOAD: dict[str, tuple[str, ...]] = {
    "example_gen": ("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"),
    "baseline": (),
    "pusher": (),
    "statistics_gen": ("pyarrow.parquet", "tensorflow_data_validation"),
    "schema_gen": ("tensorflow_data_validation",),
    "example_validator": ("tensorflow_data_validation",),
    "transform": ("pyarrow.parquet", "tensorflow_data_validation", "tensorflow_transform"),
    "trainer": ("pyarrow.parquet", "tensorflow", "tensorflow_transform", "keras"),
    "evaluator": ("pyarrow.parquet", "tensorflow_model_analysis"),
}
