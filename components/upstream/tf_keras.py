"""The private names of tf_keras, the Keras 2 that TFMA's metrics use."""

from __future__ import annotations

from typing import Any

VERSION = "2.21.0"


def values_of_rows(metric: Any, label: Any, prediction: Any) -> Any:
    """The values that a `MeanMetricWrapper` averages: those of its function for some rows."""
    return metric._fn(label, prediction, **metric._fn_kwargs)
