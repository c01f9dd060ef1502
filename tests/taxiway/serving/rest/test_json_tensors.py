"""Converts tensors to JSON and back, and tests the errors for invalid values."""

from __future__ import annotations

import json
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.bodies import at_once, from_json, parse, to_python
from taxiway.serving.rest.malformed import decode_b64, flattened, shaped

NUMERIC = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]
_SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.just(2**63) | st.sampled_from([0.5, 1e300, "a", ""])
    | st.sampled_from([{"b64": "YQ=="}, {"b64": "!"}, {"x": 1}]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def arrays() -> st.SearchStrategy[np.ndarray]:
    return st.sampled_from(NUMERIC).flatmap(lambda name: npst.arrays(name, _SHAPES))


def without_rows(array: np.ndarray) -> bool:
    """JSON lists do not show the dimensions after one of size zero."""
    return 0 in array.shape[:-1]


@settings(deadline=None)
@given(arrays())
def test_numbers_are_converted_back(array: np.ndarray) -> None:
    text = json.dumps({"x": to_python(array, "x")})
    back = from_json(parse(text.encode())["x"], array.dtype)
    assert back.dtype == array.dtype
    if not without_rows(array):
        np.testing.assert_array_equal(back, array, strict=True)


@settings(deadline=None)
@given(st.lists(st.binary(), max_size=5), st.booleans())
def test_bytes_are_converted_back(values: list[bytes], nested: bool) -> None:
    array = shaped((len(values), 1) if nested else (len(values),), values, np.dtype(object))
    back = from_json(parse(json.dumps({"x": to_python(array, "x_bytes")}).encode())["x"], array.dtype)
    if values:
        assert back.tolist() == array.tolist()


@settings(deadline=None)
@given(_ANY, st.sampled_from([*NUMERIC, "object"]))
def test_both_conversions_agree(value: Any, name: str) -> None:
    """The fast conversion of a whole list equals that of single values, or is not used."""
    dtype = np.dtype(name)
    whole = at_once(value, dtype)
    try:
        by_value = shaped(*flattened(value, dtype), dtype)
    except ServingError:
        assert whole is None
    else:
        assert whole is not None
        np.testing.assert_array_equal(whole, by_value, strict=True)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ("x", "float32", 'JSON Value: "x" Type: String is not of expected type: float'),
        (None, "float64", "JSON Value: null Type: Null is not of expected type: double"),
        ([1, True], "int64", "JSON Value: true Type: True is not of expected type: int64"),
        ([1.0], "int32", "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ([2**31], "int32", "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ([-1], "uint64", "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ([1], "bool", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ([1], "object", "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"x": 1}, "int64", 'JSON Value: {"x": 1} Type: Object is not of expected type: int64'),
        ([{"x": 1}], "object", 'JSON Value: {"x": 1} not formatted correctly for base64 data'),
        ([{"b64": "*"}], "object", "Unable to base64 decode"),
        ([[1, 2], [3]], "int64", "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([1, [2]], "int64", "Encountered list at unexpected level: 1 expected < 1"),
        ([[1], 2], "int64", "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ],
)
def test_invalid_values_are_reported(value: Any, dtype: str, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        from_json(value, np.dtype(dtype))
    assert (caught.value.code, caught.value.message) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def test_types_that_json_cannot_represent_are_unimplemented() -> None:
    with pytest.raises(ServingError) as caught:
        from_json([1.5], np.dtype("float16"))
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.message == "Conversion of JSON Value: 1.5 to type: half"


def test_lists_deeper_than_a_tensor_are_refused() -> None:
    value: Any = 1
    for _ in range(900):
        value = [value]
    with pytest.raises(ServingError, match="Encountered list at unexpected level: 64 expected < 64"):
        from_json(value, np.dtype("int64"))


def test_a_long_string_among_numbers_is_refused_without_allocating() -> None:
    assert at_once([1] * 100_000 + ["x" * 1_000_000], np.dtype("float32")) is None


def test_a_number_beyond_float_is_infinite_as_in_tf_serving() -> None:
    assert from_json([1.7976931348623157e308, 1435774380], np.dtype("float32")).tolist() == [float("inf"), 1435774336]


def test_base64_may_lack_its_padding_and_have_spaces() -> None:
    assert [decode_b64({"b64": text}) for text in ("aGVsbG8=", "aGVsbG8", "aGVs\nbG8=", "")] == [b"hello"] * 3 + [b""]


def test_float32_is_written_with_its_own_digits() -> None:
    assert to_python(np.array([0.2, np.nan, -np.inf, 9e6], np.float32), "x")[0] == 0.2
    assert to_python(np.array([[0.2, 1e-5]], np.float32), "x") == [[0.2, 1e-05]]
