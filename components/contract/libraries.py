"""Libraries that several stages need; for `Stage.loads`."""

from __future__ import annotations

from components.contract.declaration import Libraries

ARROW = Libraries(("pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "pandas"))

TENSORFLOW = Libraries(("tensorflow",), is_separate=True)

# These are layers below TENSORFLOW.
VALIDATION = Libraries(("tensorflow_data_validation", "pyarrow.parquet"))
# TFDV is included because transform computes statistics with it; modules written for TFX import tfx_fn_args first.
TRANSFORM = Libraries(
    ("tensorflow_transform", "tensorflow_data_validation", "pyarrow.parquet", "components.user_code.tfx_fn_args")
)

# These are layers below TRANSFORM. Importing TFX takes as long as running a stage, so transform and trainer avoid it.
TFX = Libraries(("tfx.components",), wanted=("tfx.v1",))
MODEL_ANALYSIS = Libraries(("tensorflow_model_analysis",))
