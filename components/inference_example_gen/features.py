"""Rows of the inference table and outcomes as the features that a model was trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.contract.artifacts import Examples, Schema, split_names
from components.contract.errors import DataError, UserError
from components.data.examples import as_lists, column_of, read_batches
from components.inference.columns import INPUT
from components.inference_example_gen.read import Found
from components.monitoring.labels.columns import LABEL, outcomes

_TYPES = {1: pa.large_binary(), 2: pa.int64(), 3: pa.float32()}
"""By the number of a FeatureType of TF Metadata."""

_NAMES = {1: "BYTES", 2: "INT", 3: "FLOAT"}

_EXPECTED = 10.0
"""So many values of a feature are not missing by chance: once in 22,000 windows."""


@dataclass(frozen=True)
class Features:
    """The features of a schema.

    Attributes:
        types: The number of each one's FeatureType, by name.
        serialized: The schema.
    """

    types: dict[str, int]
    serialized: bytes

    @property
    def fields(self) -> list[pa.Field]:
        """Their columns in TFXIO's form."""
        return [pa.field(name, pa.large_list(_TYPES[kind])) for name, kind in self.types.items()]


def read(schema: Schema | None) -> Features | None:
    """The features of a schema.

    Raises:
        DataError: A feature has no type that a tf.Example can have.
    """
    if schema is None:
        return None
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    parsed = text_format.Parse((schema.path / "schema.pbtxt").read_text(), schema_pb2.Schema())
    types = {feature.name: int(feature.type) for feature in parsed.feature}
    if odd := [name for name, kind in types.items() if kind not in _TYPES]:
        raise DataError(f"the schema's feature {odd[0]!r} has no type", fix="give it the type INT, FLOAT or BYTES")
    return Features(types, parsed.SerializeToString(deterministic=True))


def of_rows(
    found: Found, features: Features | None, without: Collection[str], history: Examples | None = None
) -> pa.RecordBatch:
    """The rows in TFXIO's form, with the schema's features, or else with all inputs and outcomes.

    Args:
        found: The rows.
        features: The schema's features; None without a schema.
        without: Features that the table may lack.
        history: Earlier examples: a feature that few of them have, the table may lack too.

    Raises:
        UserError: The table lacks features of the schema; names them.
        DataError: Values do not fit the type of their feature.
    """
    sources = _sources(found)
    if features is None:
        names = list(sources)
        return pa.RecordBatch.from_arrays([as_lists(_array(found.rows[sources[n]])) for n in names], names=names)
    _require(features, [*sources, *without], found.rows.num_rows, history)
    columns = [
        _converted(found, name, sources[name], kind) if name in sources else pa.nulls(found.rows.num_rows, field.type)
        for (name, kind), field in zip(features.types.items(), features.fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(features.types))


def _sources(found: Found) -> dict[str, str]:
    """The column of each feature; an outcome hides an input of the same name."""
    inputs = {name.removeprefix(INPUT): name for name in found.inputs}
    return {**inputs, **{name.removeprefix(LABEL): name for name in outcomes(found.rows.column_names)}}


def require_known(without: Collection[str], features: Features | None) -> None:
    """Raises UserError unless these are features of the schema."""
    if unknown := [name for name in without if features is None or name not in features.types]:
        raise UserError(f"without names {unknown[0]!r}, which is no feature of the schema", fix="remove it")


def _require(features: Features, there: Collection[str], rows: int, history: Examples | None) -> None:
    missing = [name for name in features.types if name not in there]
    if missing and history is not None:
        shares = _shares(history, missing, features)
        missing = [name for name in missing if shares[name] * rows >= _EXPECTED]
    if missing:
        listed = ", ".join(map(repr, missing))
        raise UserError(
            f"the inference table and its labels lack features of the schema: {listed}",
            fix="if a privacy rule drops them, keep them, or train a model that does not take them; if no request has "
            f"them, set without={missing}",
        )


def _shares(history: Examples, names: list[str], features: Features) -> dict[str, float]:
    """The share of the rows that have each feature."""
    total, present = 0, dict.fromkeys(names, 0)
    for split in split_names(history):
        for batch in read_batches(history, split, columns=names, schema=features.serialized):
            total += batch.num_rows
            for name in batch.schema.names:
                column = batch.column(name)
                present[name] += len(column) - (len(column) if pa.types.is_null(column.type) else column.null_count)
    return {name: count / max(total, 1) for name, count in present.items()}


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _converted(found: Found, name: str, source: str, kind: int) -> pa.Array:
    wanted, column = pa.large_list(_TYPES[kind]), _array(found.rows[source])
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), wanted)
    try:
        _require_kind(column.type, kind)
        # As in training data, integers beyond 2**24 are rounded to float32; but no part of a number is cut off.
        return as_lists(_wider(column, kind)).cast(wanted, safe=kind != 3)
    except (pa.ArrowInvalid, TypeError) as error:
        raise DataError(
            f"{source} of the inference table does not fit the schema, where {name!r} is {_NAMES[kind]}: {error}",
            fix="send that type, or look for a privacy rule that hashes or changes the column",
        ) from error


def _require_kind(given: pa.DataType, kind: int) -> None:
    value = given.value_type if pa.types.is_list(given) or pa.types.is_large_list(given) else given
    is_text = not (pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_boolean(value))
    if is_text != (kind == 1):
        raise TypeError(f"it has {value}")


def _wider(column: pa.Array, kind: int) -> pa.Array:
    """Whole numbers that arrived as floats, as JSON has them, as integers."""
    if kind != 2 or not pa.types.is_floating(column.type):
        return column
    return column.cast(pa.int64(), safe=True)


def same_form(batch: pa.RecordBatch, fields: Sequence[pa.Field]) -> pa.RecordBatch:
    """A batch with these columns and no others.

    Raises:
        DataError: A column has another type.
    """
    columns = [column_of(batch, field) for field in fields]
    for field, column in zip(fields, columns, strict=True):
        if column.type != field.type:
            raise DataError(
                f"the column {field.name!r} of history is {column.type.value_type}, and {field.type.value_type} here",
                fix="pass the schema of history",
            )
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
