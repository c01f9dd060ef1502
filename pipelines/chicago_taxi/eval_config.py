"""When is the model good enough? TFMA's EvalConfig in its JSON form.

https://www.tensorflow.org/tfx/model_analysis/setup documents all fields.
"""

from typing import Any

EVAL_CONFIG: dict[str, Any] = {
    "model_specs": [
        {
            "signature_name": "serving_default",
            "preprocessing_function_names": ["transform_features"],
            "label_key": "tips_xf",
        }
    ],
    # All trips, then by start hour and by payment type.
    "slicing_specs": [
        {},
        {"feature_keys": ["trip_start_hour"]},
        {"feature_keys": ["payment_type"]},
    ],
    "metrics_specs": [
        {
            "metrics": [
                {"class_name": "ExampleCount"},
                {
                    "class_name": "BinaryAccuracy",
                    # Over all trips: at least 60 % correct, and at most 0.01 worse than the baseline.
                    "per_slice_thresholds": [
                        {
                            "slicing_specs": [{}],
                            "threshold": {
                                "value_threshold": {"lower_bound": 0.6},
                                "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": -0.01},
                            },
                        }
                    ],
                },
                {"class_name": "AUC"},
                {"class_name": "Precision"},
                {"class_name": "Recall"},
                {"class_name": "MeanLabel"},
                {"class_name": "MeanPrediction"},
                {"class_name": "Calibration"},
            ]
        }
    ],
}
