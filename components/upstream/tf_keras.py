"""Private names of tf_keras, the Keras 2 that TFMA's metrics are made of."""

from __future__ import annotations

from typing import Any

VERSION = "2.21.0"


def values_of_rows(metric: Any, label: Any, prediction: Any) -> Any:
    """What a `MeanMetricWrapper` averages: the values of its function for some rows."""
    return metric._fn(label, prediction, **metric._fn_kwargs)
