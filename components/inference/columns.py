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


def field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    """A column with its description."""
    return pa.field(name, kind, metadata={"doc": doc})


REQUEST = pa.schema(
    [
        field("request_id", pa.string(), "the client's x-request-id, else a new one, which the client gets back"),
        field("row", pa.int32(), "the example's number in its request, from 0"),
        field("time", pa.timestamp("us", "UTC"), "when the request arrived"),
        field(DATE, pa.date32(), "the day of `time`, in UTC; the table's partition"),
        field("model", pa.string(), "the model's name"),
        field("version", pa.int64(), "the version that answered; null if none did"),
        field("label", pa.string(), "the label by which the client or the proxy named the version"),
        field("target", pa.string(), "the proxy's target; null behind no proxy"),
        field("api", pa.string(), "Predict, Classify, Regress or MultiInference"),
        field("protocol", pa.string(), "GRPC or REST"),
        field("latency_ms", pa.float32(), "from the arrival to the answer, in milliseconds"),
        field("status", pa.string(), "the gRPC code: OK, INVALID_ARGUMENT, ..."),
        field("error", pa.string(), "the error's message; null if there was none"),
        field("share", pa.float64(), "the share of requests that was recorded at the time, above 0 to 1"),
    ]
)
"""What is known of every request."""


def is_input(column: str) -> bool:
    """Whether a column is one of the model's inputs."""
    return column.startswith(INPUT)


def is_output(column: str) -> bool:
    """Whether a column is one of the model's outputs."""
    return column.startswith(OUTPUT)
