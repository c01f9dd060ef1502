"""Fits new rows to the types of a table's columns.

A column keeps the type of its first values. Values of another type are converted if that loses nothing; others go to a
column with the type's name as suffix, and the column itself is null in these rows:

- integers fit wider integers and `double`, `float` fits `double`; bytes that are UTF-8 fit strings, and strings bytes;
- a single value fits a list, and a list of at most one value fits a single value;
- all else goes to `<column>_int64`, `_float`, `_double`, `_bool`, `_string`, `_binary`, `_decimal`, or to one of these
  with `_list`, such as `input_tags_string_list`.

Numbers without a type of their own, as in JSON, take the column's type.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

UNTYPED = {b"untyped": b"1"}
"""The metadata of a column of numbers from JSON."""

_NAMES = {
    pa.int64(): "int64",
    pa.int32(): "int32",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "bool",
    pa.string(): "string",
    pa.binary(): "binary",
}


def type_name(kind: pa.DataType) -> str:
    """The name of a type as a suffix."""
    if pa.types.is_list(kind):
        return f"{type_name(kind.value_type)}_list"
    return _NAMES.get(kind) or str(kind).partition("[")[0].partition("(")[0].removesuffix("128")


def fitted(rows: pa.Table, there: pa.Schema) -> pa.Table:
    """The rows with columns whose types are those of a table.

    Args:
        rows: New rows.
        there: The table's columns; others may be new.
    """
    columns: dict[pa.Field, pa.Array] = {}
    for field in rows.schema:
        if not pa.types.is_null(field.type):
            _place(field, rows[field.name].combine_chunks(), there, columns)
    return pa.table(list(columns.values()), schema=pa.schema(list(columns)))


def _place(field: pa.Field, array: pa.Array, there: pa.Schema, columns: dict[pa.Field, pa.Array]) -> None:
    """Adds an array as a column, and what does not fit there as another."""
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    wanted = there.field(field.name).type if field.name in there.names else array.type
    is_taken = any(other.name == field.name for other in columns)
    found = None if is_taken else _fit(array, wanted, field.metadata == UNTYPED)
    if found is not None:
        left = pc.and_(pc.is_null(found), pc.is_valid(array))
        if not pc.any(left).as_py():
            columns[field.with_type(found.type)] = found
            return
        if found.null_count < len(found):
            columns[field.with_type(found.type)] = found
        array = pc.if_else(left, array, pa.scalar(None, array.type))
    _place(field.with_name(f"{field.name}_{type_name(array.type)}").with_type(array.type), array, there, columns)


def _fit(array: pa.Array, wanted: pa.DataType, is_untyped: bool) -> pa.Array | None:
    """The values as another type, null where they do not fit; None if none can."""
    given = array.type
    if given == wanted:
        return array
    if pa.types.is_list(wanted) and not pa.types.is_list(given):
        values = _fit(array, wanted.value_type, is_untyped)
        return None if values is None else _wrapped(values)
    if pa.types.is_list(given) and not pa.types.is_list(wanted):
        return _fit(_single(array), wanted, is_untyped)
    if pa.types.is_list(given):
        return _fit_lists(array, wanted, is_untyped)
    return _fit_values(array, wanted, is_untyped)


def _fit_lists(array: pa.Array, wanted: pa.DataType, is_untyped: bool) -> pa.Array | None:
    values = _fit(array.flatten(), wanted.value_type, is_untyped)
    if values is None or values.null_count > array.flatten().null_count:
        return None  # some of the values do not fit: the rows stay together
    offsets = pc.subtract(array.offsets, array.offsets[0])
    return pa.ListArray.from_arrays(offsets, values, mask=array.is_null() if array.null_count else None)


def _fit_values(array: pa.Array, wanted: pa.DataType, is_untyped: bool) -> pa.Array | None:
    given = array.type
    if pa.types.is_string(given) and pa.types.is_binary(wanted):
        return array.cast(wanted)
    if pa.types.is_binary(given) and pa.types.is_string(wanted):
        return text(array)
    if is_untyped and pa.types.is_floating(wanted):
        return array.cast(wanted, safe=False)
    if is_untyped and pa.types.is_integer(wanted):
        whole = pc.if_else(pc.equal(pc.round(array), array), array, pa.scalar(None, given))
        return _cast(whole, wanted)
    return _cast(array, wanted) if _is_wider(wanted, given) else None


def _is_wider(wanted: pa.DataType, given: pa.DataType) -> bool:
    types = pa.types
    if types.is_integer(given):
        return bool(types.is_integer(wanted) or types.is_float64(wanted))
    return bool(types.is_float32(given) and types.is_float64(wanted))


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array | None:
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid:
        return None


def text(array: pa.Array) -> pa.Array:
    """Bytes as strings; null where they are not UTF-8."""
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decoded(value) for value in array.to_pylist()], pa.string())


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _wrapped(values: pa.Array) -> pa.Array:
    """Lists of one value each; null where there is none."""
    offsets = pa.array(range(len(values) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=values.is_null() if values.null_count else None)


def _single(array: pa.Array) -> pa.Array:
    """The values of lists of one value; null for empty and longer lists."""
    lengths = pc.fill_null(array.value_lengths(), 0)
    starts = pc.if_else(pc.equal(lengths, 1), array.offsets[:-1], pa.scalar(None, pa.int32()))
    return array.values.take(starts)
