"""The bodies of :predict, against the examples in TF Serving's documentation and tests."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from taxiway.serving.errors import ServingError
from taxiway.serving.rest import malformed
from taxiway.serving.rest.bodies import decode, encode, parse, signature_name

INT, FLOAT, STRING = np.dtype("int32"), np.dtype("float32"), np.dtype(object)
SENSORS = {"tag": STRING, "signal": INT, "sensor": INT}


def decoded(text: str, **dtypes: np.dtype) -> tuple[str, dict[str, Any]]:
    form, arrays = decode(parse(text.encode()), dtypes)
    assert {name: array.dtype for name, array in arrays.items()} == dtypes
    return form, {name: array.tolist() for name, array in arrays.items()}


def refused(text: str, **dtypes: np.dtype) -> str:
    with pytest.raises(ServingError) as caught:
        decoded(text, **dtypes)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return caught.value.message


def answer(form: Any, **outputs: np.ndarray) -> Any:
    return json.loads(encode(outputs, form))


def test_rows_of_one_input_are_decoded() -> None:
    assert decoded('{"instances": ["foo", "bar", "baz"]}', tag=STRING) == ("row", {"tag": [b"foo", b"bar", b"baz"]})
    assert decoded('{"instances": [[[1, 2]], [[3, 4]]]}', x=INT) == ("row", {"x": [[[1, 2]], [[3, 4]]]})
    assert decoded('{"instances": [{"x": [1, 2]}]}', x=INT) == ("row", {"x": [[1, 2]]})


def test_several_inputs_are_decoded_from_rows_and_columns() -> None:
    rows = """{"instances": [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]}]}"""
    columns = """{"inputs": {
        "tag": ["foo", "bar"],
        "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
        "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]}}"""
    expected = {
        "tag": [b"foo", b"bar"],
        "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
        "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
    }
    assert decoded(rows, **SENSORS) == ("row", expected)
    assert decoded(columns, **SENSORS) == ("column", expected)


def test_binary_values_are_decoded() -> None:
    hello, world = '{"b64": "aGVsbG8="}', '{"b64": "d29ybGQ="}'
    assert decoded(f'{{"instances": [{hello}, {world}]}}', x=STRING)[1] == {"x": [b"hello", b"world"]}
    assert decoded(f'{{"instances": [[{hello}], [{world}]]}}', x=STRING)[1] == {"x": [[b"hello"], [b"world"]]}
    assert decoded(f'{{"instances": [{{"x": [[{hello}]]}}]}}', x=STRING)[1] == {"x": [[[b"hello"]]]}
    assert decoded(f'{{"inputs": {hello}}}', x=STRING) == ("column", {"x": b"hello"})
    assert decoded(f'{{"inputs": {{"x": {hello}, "n": 3}}}}', x=STRING, n=INT)[1] == {"x": b"hello", "n": 3}


def test_nan_and_infinity_are_decoded() -> None:
    values = decoded('{"instances": [1, NaN, Infinity, -Infinity]}', x=FLOAT)[1]["x"]
    assert math.isnan(values[1])
    assert values[2:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"inputs": [1], "instances": [1]}', "Not formatted correctly expecting only one of 'inputs' or 'instances'"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": 1}', "JSON Value: {\"instances\": 1} Expecting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
        (
            '{"instances": ["x", "y"]}',
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: int32',
        ),
        ('{"instances": [[1,2],[3,4],[5,6,7]]}', "Expecting tensor size: 2 but got: 3"),
        ('{"instances": [[1,2],[3,4],[[5,6]]]}', "Expecting shape [2] but got: [1,2]"),
        ('{"instances": [1, [1]]}', "Expecting shape [] but got: [1]"),
        ('{"instances": [[1,2],["a", "b"]]}', "not of expected type: int32"),
        ('{"instances": [[1, 2], {"x": [1, 2]}]}', "Expecting value/list but got object at item 1 of input list"),
        ('{"instances": [{"x": 1}, [1]]}', "Expecting object but got list at item 1 of input list"),
        (
            '{"instances": [{"x": 1}, {"y": 1}]}',
            "Failed to process element: 1 key: y of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: y",
        ),
        (
            '{"instances": [{"x": 1}, {}]}',
            "Failed to process element: 1 of 'instances' list. JSON object: {} keys must be equal to: x",
        ),
        ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
        ('{"inputs": {"x": 1, "y": 1}}', "JSON object: does not have named input: y"),
        (
            '{"inputs": {"x": [1, "a"]}}',
            "Failed to process key: x of 'inputs' object. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: int32',
        ),
    ],
)
def test_errors_have_tf_servings_messages(text: str, message: str) -> None:
    assert message in refused(text, x=INT)


def test_several_inputs_have_to_be_named() -> None:
    assert refused('{"instances": [1]}', **SENSORS).startswith("instances is a plain list, but expecting list of")
    assert refused('{"inputs": [1]}', **SENSORS).startswith("inputs is a plain value/list, but expecting an object")


def test_a_signature_has_inputs_and_a_name_that_is_a_string() -> None:
    assert refused('{"inputs": 1}') == "Failed to get input map for signature: DEFAULT"
    assert refused('{"inputs": 1, "signature_name": "s"}') == "Failed to get input map for signature: s"
    assert signature_name({}) == ""
    with pytest.raises(ServingError, match="'signature_name' key must be a string value"):
        signature_name({"signature_name": 5})


def test_a_single_output_has_no_name() -> None:
    array = np.array([[[1, 2], [3, 4]], [[7, 8], [9, 0]]], np.int32)
    assert answer("row", y=array) == {"predictions": array.tolist()}
    assert answer("column", y=array) == {"outputs": array.tolist()}
    assert answer("column", y=np.array(3.5, np.float32)) == {"outputs": 3.5}
    assert answer("column", y=shaped_bytes(b"x").reshape(())) == {"outputs": "x"}
    assert answer("row", y=np.zeros((0, 2))) == {"predictions": []}


def shaped_bytes(*values: bytes) -> np.ndarray:
    return np.array(values, object)


def test_several_outputs_are_objects() -> None:
    outputs = {
        "double": np.array([8.0, 9.0]),
        "float": np.array([[0.1], [2.0]], np.float32),
        "text": shaped_bytes(b"foo", "é".encode()),
        "raw_bytes": shaped_bytes(b"hello", b"\xff"),
    }
    assert answer("row", **outputs) == {
        "predictions": [
            {"double": 8.0, "float": [0.1], "text": "foo", "raw_bytes": {"b64": "aGVsbG8="}},
            {"double": 9.0, "float": [2.0], "text": "é", "raw_bytes": {"b64": "/w=="}},
        ]
    }
    assert answer("column", **outputs) == {
        "outputs": {
            "double": [8.0, 9.0],
            "float": [[0.1], [2.0]],
            "text": ["foo", "é"],
            "raw_bytes": [{"b64": "aGVsbG8="}, {"b64": "/w=="}],
        }
    }


def test_decimals_nan_and_infinity_are_encoded() -> None:
    assert encode({"y": np.array([3, 0.2, 999999], np.float32)}, "row") == b'{"predictions":[3.0,0.2,999999.0]}'
    nonfinite = np.array([np.nan, np.inf, 3, -np.inf], np.float32)
    assert encode({"y": nonfinite}, "row") == b'{"predictions":[NaN,Infinity,3.0,-Infinity]}'
    both = encode({"y": nonfinite[:1], "z": np.array([0.2], np.float32)}, "row")
    assert both == b'{"predictions":[{"y":NaN,"z":0.2}]}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.zeros(2, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
        ({"y": np.array(1)}, "Tensor name: y has no shape information"),
        ({"y": np.zeros(2), "z": np.zeros(3)}, "Tensor name: z has inconsistent batch size: 3 expecting: 2"),
        ({"y": shaped_bytes(b"\xff")}, "tensor: y contains bytes that are not UTF-8"),
    ],
)
def test_outputs_that_rows_cannot_represent_are_refused(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ServingError) as caught:
        encode(outputs, "row")
    assert message in caught.value.message


@settings(deadline=None)
@given(st.data(), st.sampled_from(["row", "column"]), st.integers(1, 4))
def test_encoded_arrays_are_decoded_again(data: st.DataObject, form: Any, rows: int) -> None:
    """A server's answer can be sent to another server."""
    arrays = {
        name: data.draw(npst.arrays(dtype, (rows, *shape)), label=name)
        for name, dtype, shape in (
            ("f", "float32", (2,)),
            ("d", "float64", ()),
            ("i", "int64", (1, 2)),
            ("b", "bool", ()),
        )
    }
    text = encode(arrays, form).replace(b'"predictions"', b'"instances"').replace(b'"outputs"', b'"inputs"')
    document = parse(text)
    dtypes = {name: array.dtype for name, array in arrays.items()}
    found, back = decode(document, dtypes)
    assert found == form
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, strict=True)
    if form == "row":
        walked = malformed.rows(document["instances"], dtypes)
        for name, array in arrays.items():
            np.testing.assert_array_equal(walked[name], array, strict=True)
