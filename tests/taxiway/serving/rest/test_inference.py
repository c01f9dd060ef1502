"""The bodies of :classify and :regress, against the examples in TF Serving's tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.bodies import parse
from taxiway.serving.rest.inference import decode, encode_classifications, encode_regressions


def decoded(text: str) -> list[dict[str, Any]]:
    examples = map(example_pb2.Example.FromString, decode(parse(text.encode()), "classify"))
    return [
        {name: list(getattr(f, f.WhichOneof("kind") or "int64_list").value) for name, f in e.features.feature.items()}
        for e in examples
    ]


def test_the_first_value_determines_a_features_type() -> None:
    text = """{"examples": [
        {"names": ["foo", "bar"], "ratings": [8.0, 9.5, Infinity], "age": 20, "none": []},
        {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 6.0, "mix": [1, true, false]}]}"""
    assert decoded(text) == [
        {"names": [b"foo", b"bar"], "ratings": [8.0, 9.5, float("inf")], "age": [20], "none": []},
        {"names": [b"baz", b"hello"], "ratings": [6.0], "mix": [1, 1, 0]},
    ]


def test_an_examples_own_features_override_the_context() -> None:
    text = '{"context": {"query": "pizza", "n": 1}, "examples": [{"n": 2}, {"x": 0.5}]}'
    assert decoded(text) == [{"query": [b"pizza"], "n": [2]}, {"query": [b"pizza"], "n": [1], "x": [0.5]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"context": [{"names": ["foo"]}]}', "Example must be JSON object but got JSON Array"),
        ("{}", "When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": {"names": ["foo"]}}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [[{"names": ["foo"]}]]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [{"names": [10, null]}]}', "Feature: names has element with unexpected JSON type: Null"),
        ('{"examples": [{"names": [10, 10.0]}]}', "Unexpected element type in feature: names expecting type: int64"),
        ('{"examples": [{"names": ["a", 1]}]}', "Unexpected element type in feature: names expecting type: bytes"),
        ('{"examples": [{"names": [10, {"test": 10}]}]}', "names has element with unexpected JSON type: Object"),
        ('{"examples": [{"names": [[10], 20]}]}', "Feature: names has element with unexpected JSON type: Array"),
        ('{"examples": [{"names": [20, 18446744073709551603]}]}', "has uint64_t element. Only int64_t is supported."),
        ('{"examples": [{"names": {"b64": "*"}}]}', "Unable to base64 decode"),
    ],
)
def test_errors_have_tf_servings_messages(text: str, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        decoded(text)
    assert message in caught.value.message


def test_results_are_encoded() -> None:
    classes = text_format.Parse(
        """classifications { classes { label: "car" score: 0.2 } classes { label: "bike" score: 0.7 } }
           classifications { classes { score: 12 } }""",
        classification_pb2.ClassificationResult(),
    )
    assert json.loads(encode_classifications(classes)) == {"results": [[["car", 0.2], ["bike", 0.7]], [["", 12.0]]]}
    values = text_format.Parse(
        "regressions { value: 0.2 } regressions { value: inf } regressions { value: nan }",
        regression_pb2.RegressionResult(),
    )
    assert encode_regressions(values) == b'{"results":[0.2,Infinity,NaN]}'


def test_empty_results_are_refused() -> None:
    with pytest.raises(ServingError, match="Cannot convert empty ClassificationResults to JSON"):
        encode_classifications(classification_pb2.ClassificationResult())
    with pytest.raises(ServingError, match="Cannot convert empty RegressionResults to JSON"):
        encode_regressions(regression_pb2.RegressionResult())
