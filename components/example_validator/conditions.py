"""Conditions on statistics, such as `feature.num_stats.num_zeros < 3`, evaluated by SQLite.

A dotted name is a single value of a FeatureNameStatistics. As in GoogleSQL, unset values are NULL, and the quotient of
integers is exact. Lists, and subqueries over them, are not available.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

# A quoted string, which stays unchanged, or the name of a statistic.
_QUOTED_OR_NAME = re.compile(r"""'[^']*'|"[^"]*"|\b(?P<root>feature(?:_test|_base)?)(?P<fields>(?:\.\w+)*)""")


class ConditionError(Exception):
    """A condition cannot be evaluated; the message continues after the condition."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


def holds(condition: str, bound: Mapping[str, Message]) -> bool:
    """Whether a condition is true.

    Args:
        condition: A SQL expression.
        bound: The values of `feature`, or of `feature_test` and `feature_base`.

    Raises:
        ConditionError: It names something that does not exist, is not SQL, or is neither true nor false.
    """
    values: dict[str, Any] = {}

    def parameter(match: re.Match[str]) -> str:
        if not match["root"]:
            return match[0]
        values[f"v{len(values)}"] = _statistic(match["root"], match["fields"].split(".")[1:], bound)
        return f":v{len(values) - 1}"

    value = _evaluated(_QUOTED_OR_NAME.sub(parameter, condition), values)
    if value not in (0, 1):
        names = ", ".join(match[0] for match in _QUOTED_OR_NAME.finditer(condition) if match["root"])
        raise ConditionError(
            f"is {'NULL' if value is None else value}, not true or false", f"see whether {names} is set"
        )
    return bool(value)


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """The fix for a wrong name."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def _evaluated(expression: str, values: Mapping[str, Any]) -> Any:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute(f"SELECT ({expression})", values).fetchone()[0]
    except sqlite3.Error as error:
        raise ConditionError(f"cannot be evaluated: {error}") from error
    finally:
        connection.close()


def _statistic(root: str, fields: list[str], bound: Mapping[str, Message]) -> Any:
    if root not in bound:
        raise ConditionError(f"names {root!r}", f"use {' and '.join(bound)}")
    value: Any = bound[root]
    for field in fields:
        value = _field(value, field)
        if value is None:
            return None
    if not isinstance(value, int | float | str):
        raise ConditionError(f"names {'.'.join([root, *fields])}, which is not a single value")
    # SQLite would drop the remainder of a division of integers.
    return float(value) if isinstance(value, int) else value


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, Message):
        raise ConditionError(f"asks for {name!r} of a single value")
    known = value.DESCRIPTOR.fields_by_name
    if name not in known:
        raise ConditionError(f"names {name!r}, which is not a field of {value.DESCRIPTOR.name}", nearest(name, known))
    is_message = known[name].message_type is not None and not known[name].is_repeated
    return None if is_message and not value.HasField(name) else getattr(value, name)
