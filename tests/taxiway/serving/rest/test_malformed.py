"""JSON is parsed like in TF Serving, and malformed documents are refused."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.bodies import parse
from taxiway.serving.rest.malformed import shown, type_name

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(body: bytes) -> str:
    with pytest.raises(ServingError) as caught:
        parse(body)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return caught.value.message


@settings(deadline=None)
@given(st.dictionaries(st.text(), _VALUES, max_size=5), st.booleans())
def test_valid_documents_are_parsed(document: dict[str, Any], ascii_only: bool) -> None:
    assert parse(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


def test_nan_and_infinities_are_numbers() -> None:
    nan, *rest = parse(b'{"x": [NaN, Infinity, -Infinity, 1]}')["x"]
    assert math.isnan(nan)
    assert rest == [math.inf, -math.inf, 1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty."),
        (b" \n", "JSON Parse error: The document is empty."),
        (b"instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"x": 1', "JSON Parse error: Missing a comma, } or ] after a member or element. at offset: 7"),
        (b'{"x" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 5"),
        (b"{x: 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"x": "a', "JSON Parse error: Missing a closing quotation mark in string. at offset: 6"),
        (b'{"x": "\\q"}', "JSON Parse error: Invalid escape character in string. at offset: 7"),
        (b'{"x": "\0"}', "JSON Parse error: Invalid encoding in string. at offset: 7"),
        (b'{"x": "\xff"}', "JSON Parse error: Invalid encoding in string. at offset: 7"),
        ('{"é": \0}'.encode(), "JSON Parse error: Invalid value. at offset: 7"),
        (b'{"x": "\\ud800"}', "JSON Parse error: The surrogate pair in string is invalid."),
        (b'{"x": 1} {}', "JSON Parse error: The document root must not be followed by other values. at offset: 9"),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"NaN", "JSON Value: NaN Is not object"),
        (b'{"x": 1e400}', "JSON Parse error: Number too big to be stored in double."),
        (b'{"x": ' + b"9" * 10_000 + b"}", "JSON Parse error: Number too big to be stored in double."),
        (b'{"x": 1, "x": 2}', 'JSON Parse error: The name "x" occurs more than once in an object.'),
        (b'{"x": [{"y": 1}, {"y": 1, "y": ":"}]}', 'JSON Parse error: The name "y" occurs more than once'),
        (b'{"x": [1, {"y": 1, "y": 1}]}', 'JSON Parse error: The name "y" occurs more than once'),
    ],
)
def test_errors_have_a_message_and_a_position(body: bytes, message: str) -> None:
    assert refused(body).startswith(message)


@pytest.mark.parametrize("opening", [b"[", b'{"x":'])
@pytest.mark.parametrize("closing", [b"", b"]"])
def test_deep_nesting_is_refused(opening: bytes, closing: bytes) -> None:
    assert refused(b'{"x": ' + opening * 50_000 + closing * 50_000 + b"}").startswith("JSON Parse error: ")


def test_an_integer_beyond_64_bits_is_a_float() -> None:
    assert parse(b'{"x": [18446744073709551615, 18446744073709551616]}')["x"] == [2**64 - 1, 2.0**64]
    big = parse(b'{"x": [NaN, 18446744073709551615, 18446744073709551616]}')["x"][1:]
    assert [type(number) for number in big] == [int, float]


def test_a_byte_order_mark_and_colons_in_strings_are_accepted() -> None:
    assert parse(b'\xef\xbb\xbf{"x": "a:b"}') == {"x": "a:b"}


def test_long_values_are_shortened_in_errors() -> None:
    assert shown({"x": [1, math.nan, "é"]}) == '{"x": [1, NaN, "é"]}'
    assert len(shown(list(range(100_000)))) == 256
    assert [type_name(value) for value in (None, True, False, {}, [], "", 1, 1.5)] == [
        "Null", "True", "False", "Object", "Array", "String", "Number", "Number",
    ]  # fmt: skip
