"""Libraries that several stages need, for `Stage.loads`."""

from __future__ import annotations

from components.contract.declaration import Libraries

ARROW = Libraries(("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"))

TENSORFLOW = Libraries(("tensorflow",), apart=True)

# The following go below TensorFlow.
VALIDATION = Libraries(("tensorflow_data_validation", "pyarrow.parquet"))
# With TFDV, which transform computes statistics by, and what modules written for TFX import first.
TRANSFORM = Libraries(
    ("tensorflow_transform", "tensorflow_data_validation", "pyarrow.parquet", "components.user_code.tfx_fn_args")
)

# These below TRANSFORM. All of TFX takes as long to load as a stage takes to run; transform and trainer do without it.
TFX = Libraries(("tfx.components",), wanted=("tfx.v1",))
MODEL_ANALYSIS = Libraries(("tensorflow_model_analysis",))
