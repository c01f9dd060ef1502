"""The columns of the labels' table: <root>/<model>/labels, a Delta table with one row per label that was taken in.

A label names its request by `request_id` and `row`; or it has key columns, `key_<input>`, and belongs to the latest
request with these inputs at or before `label_time`. The outcomes are `label_<name>`: numbers, strings or lists of
numbers. Rows are only appended; where a request has several, the one with the latest `label_time` counts.
"""

from __future__ import annotations

import pyarrow as pa

from components.inference.columns import field

KEY, LABEL = "key_", "label_"
"""The prefixes of keys and of outcomes."""

_TIME = pa.timestamp("us", "UTC")
_OF_TIME = "label_time"


FIXED = pa.schema(
    [
        field("request_id", pa.string(), "the request; null where keys name it"),
        field("row", pa.int32(), "the example's number in its request, from 0"),
        field(_OF_TIME, _TIME, "when the outcome became known, or happened"),
        field("arrived", _TIME, "when the label was taken in"),
        field("source", pa.string(), "the digest of the rows that it came with"),
    ]
)
"""The columns that every labels' table has."""


def keys(names: list[str]) -> list[str]:
    """The key columns among columns."""
    return [name for name in names if name.startswith(KEY)]


def outcomes(names: list[str]) -> list[str]:
    """The columns with outcomes among columns."""
    return [name for name in names if name.startswith(LABEL) and name != _OF_TIME]
