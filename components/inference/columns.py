"""The columns of an inference table: what is known of every request, the model's inputs and its outputs.

A table has one row per example: a request with three examples has three rows, with the same `request_id` and `row` 0, 1
and 2. A request that failed before its inputs were read has one row without inputs. Inputs and outputs are columns of
their own, with the prefixes `input_` and `output_`: numbers, strings and binaries where there is one value, lists where
there are more. The table is partitioned by `date`.
"""

from __future__ import annotations

import pyarrow as pa

INPUT, OUTPUT = "input_", "output_"
"""The prefixes of the model's inputs and outputs."""

DATE = "date"
"""The column by which the table is partitioned: the day of `time`, in UTC."""


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


REQUEST = pa.schema(
    [
        _field("request_id", pa.string(), "the client's x-request-id, else a new one, which the client gets back"),
        _field("row", pa.int32(), "the example's number in its request, from 0"),
        _field("time", pa.timestamp("us", "UTC"), "when the request arrived"),
        _field(DATE, pa.date32(), "the day of `time`, in UTC; the table's partition"),
        _field("model", pa.string(), "the model's name"),
        _field("version", pa.int64(), "the version that answered; null if none did"),
        _field("label", pa.string(), "the label by which the client or the proxy named the version"),
        _field("target", pa.string(), "the proxy's target; null behind no proxy"),
        _field("api", pa.string(), "Predict, Classify, Regress or MultiInference"),
        _field("protocol", pa.string(), "GRPC or REST"),
        _field("latency_ms", pa.float32(), "from the arrival to the answer, in milliseconds"),
        _field("status", pa.string(), "the gRPC code: OK, INVALID_ARGUMENT, ..."),
        _field("error", pa.string(), "the error's message; null if there was none"),
        _field("share", pa.float64(), "the share of requests that was recorded at the time, above 0 to 1"),
    ]
)
"""What is known of every request."""


def is_input(column: str) -> bool:
    """Whether a column is one of the model's inputs."""
    return column.startswith(INPUT)


def is_output(column: str) -> bool:
    """Whether a column is one of the model's outputs."""
    return column.startswith(OUTPUT)
