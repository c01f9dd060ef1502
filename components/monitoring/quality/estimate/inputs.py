"""What estimates are made from: the main output, and the inputs, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.contract.errors import UserError
from components.inference.columns import INPUT
from components.monitoring.quality.served import outputs
from components.monitoring.quality.terms import Numbers

_USUAL = ("scores", "outputs", "predictions", "logistic", "probabilities", "logits")
"""Where TFMA looks among several outputs if no prediction_key is given."""


def prediction(eval_config: Mapping[str, Any], rows: pa.Table) -> Numbers:
    """The output that the EvalConfig judges, (rows, values); NaN where it is missing.

    Raises:
        UserError: There are several outputs, and the EvalConfig does not say which one.
    """
    found = outputs(rows)
    spec: Mapping[str, Any] = next(iter(eval_config.get("model_specs") or eval_config.get("modelSpecs") or []), {})
    key = spec.get("prediction_key", spec.get("predictionKey"))
    names = [name for name in ([key] if key else _USUAL) if name in found]
    names = list(found) if len(found) == 1 else names
    if not names or found[names[0]].dtype.kind not in "biuf":
        raise UserError(
            f"no output is the one to judge among {', '.join(sorted(found)) or 'none'}",
            fix="name it as prediction_key in eval_config.model_specs",
        )
    return found[names[0]].astype(np.float64)


def feature_arrays(rows: pa.Table) -> dict[str, NDArray]:
    """The inputs with one value a row: numbers as floats, all else as text."""
    found: dict[str, NDArray] = {}
    for name in rows.column_names:
        kind = rows.schema.field(name).type
        if not name.startswith(INPUT) or pa.types.is_nested(kind) or pa.types.is_null(kind):
            continue
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        column = rows[name].cast(pa.float64() if is_number else pa.string(), safe=False)
        values = column.to_numpy()
        found[name.removeprefix(INPUT)] = values if is_number else np.where(values == None, "", values).astype(str)  # noqa: E711
    return found
