"""Settings for both systems: the steps and the EvalConfig of TFX's example (`taxi_pipeline_native_keras.py`)."""

from typing import Any

TRAIN_STEPS = 1000
EVAL_STEPS = 150
# Keras 2 in both systems: otherwise the import order decides what `tf.keras` is.
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1"}
MODULE = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"
EVAL_CONFIG: dict[str, Any] = {
    "model_specs": [
        {
            "signature_name": "serving_default",
            "label_key": "tips_xf",
            "preprocessing_function_names": ["transform_features"],
        }
    ],
    "slicing_specs": [{}],
    "metrics_specs": [
        {
            "metrics": [
                {
                    "class_name": "BinaryAccuracy",
                    "threshold": {
                        "value_threshold": {"lower_bound": 0.6},
                        "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": -1e-10},
                    },
                }
            ]
        }
    ],
}
