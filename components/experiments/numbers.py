"""Numbers that are one value or an array of values, such as one for each look."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.contract.errors import DataError, UserError

Array: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = "float | Array"
"""A value, or an array with one for each look or each of many experiments."""


def plain(values: Any) -> Any:
    """A Python value for an array without dimensions, so that it can be written as JSON; else the array."""
    return np.asarray(values).item() if np.ndim(values) == 0 else values


def finite(values: Any, name: str) -> Array:
    """Values as floats.

    Raises:
        DataError: One of them is not a finite number.
    """
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}", fix="give numbers only") from error
    wrong = found.size - int(np.isfinite(found).sum())
    if wrong:
        what = f"{name}: {wrong} of {found.size} values are NaN or infinite" if found.ndim else f"{name} is {found}"
        raise DataError(what, fix="remove these units from all arms alike, or give them a value, such as 0")
    return found


def counted(values: Any, name: str) -> Array:
    """Counts as floats.

    Raises:
        DataError: One of them is negative or not a finite number.
    """
    found = finite(values, name)
    if (found < 0).any():
        raise DataError(f"{name} must be 0 or more, not {found.min():g}", fix="count again")
    return found


def share(value: float, name: str, example: str = "0.05") -> float:
    """A share between 0 and 1, both excluded.

    Raises:
        UserError: It is something else.
    """
    if not 0 < value < 1:
        raise UserError(f"{name} must be between 0 and 1, not {value!r}", fix=f"use a share such as {example}")
    return float(value)


def divided(above: Any, below: Any, otherwise: float = 0.0) -> Array:
    """A ratio; where there is nothing to divide by, another value."""
    above, below = np.broadcast_arrays(np.asarray(above, dtype=float), np.asarray(below, dtype=float))
    return np.divide(above, below, out=np.full(below.shape, otherwise), where=below != 0)
