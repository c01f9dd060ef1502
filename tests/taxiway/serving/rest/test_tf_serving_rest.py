"""The REST behaviour that TF Serving's own tests and documentation specify.

What docs/serving/rest.md lists as different is not here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from taxiway.serving.errors import ServingError
from taxiway.serving.rest import inference
from taxiway.serving.rest.bodies import decode, encode, parse, signature_name
from tests.taxiway.serving import models, server
from tests.taxiway.serving.server import ask

HALF, THREE, SHAPES = "/v1/models/half_plus_two", "/v1/models/half_plus_three", "/v1/models/shapes"
VERSION, LABEL = f"{HALF}/versions/{models.VERSION}", f"{HALF}/labels/stable"
_NAMES = {
    "half_plus_two": "half_graph",
    "half_plus_three": "bare_graph",
    "shapes": "shapes",
    "counter": "counter",
    "keras": "keras",
}


@pytest.fixture(scope="module")
def running(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    given = {name: saved(model) for name, model in _NAMES.items()}
    with server.running_all(tmp_path_factory.mktemp("tf_serving_rest"), given, stable="half_plus_two") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        # The handler's tests: half_plus_two, whose signature has the shape [?,1].
        (f"{HALF}:predict", {"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
        (f"{VERSION}:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        (f"{LABEL}:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        (
            f"{VERSION}:predict",
            {"signature_name": "serving_default", "instances": [3.0, 4.0]},
            {"predictions": [3.5, 4.0]},
        ),
        (f"{VERSION}:predict", {"signature_name": "serving_default", "inputs": [3.0, 4.0]}, {"outputs": [3.5, 4.0]}),
        *(
            (f"{path}:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}, {"results": [42]})
            for path in (HALF, VERSION, LABEL)
        ),
        (
            f"{HALF}:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]},
            {"results": [[["", 12]]]},
        ),
        (
            f"{LABEL}:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 10.0}]},
            {"results": [[["", 7]]]},
        ),
        # The end-to-end tests and the hello world.
        (f"{HALF}:predict", {"instances": [2.0, 3.0, 4.0]}, {"predictions": [3.0, 3.5, 4.0]}),
        (f"{HALF}:predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}),
        (f"{HALF}:predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
        (f"{HALF}:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}, {"results": [3.0]}),
        (
            f"{HALF}:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [[["", 3.0]]]},
        ),
        # The documented examples: half_plus_three, whose signatures have no shapes and types.
        (f"{THREE}:predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}),
        (
            f"{THREE}:regress",
            {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]},
            {"results": [3.5, 4.0]},
        ),
        (f"{THREE}:regress", {"signature_name": "called_float", "examples": [{"x": 1.0}]}, {"results": [3.5]}),
        (f"{THREE}:classify", {"signature_name": "classify", "examples": [{"x": 1.0}]}, {"results": [[["", 3.5]]]}),
        (
            f"{SHAPES}:predict",
            {"signature_name": "convolution", "instances": [[[[1.0]] * 6] * 6]},
            {"predictions": [[[[4.0]] * 3] * 3]},
        ),
        # Fewer dimensions than the signature has, and more.
        (
            "/v1/models/keras:predict",
            {"signature_name": "words", "instances": ["a", "b", "c"]},
            {"predictions": [1, 2, 0]},
        ),
        (f"{HALF}:predict", {"inputs": 2.0}, {"outputs": 3.0}),
        (f"{HALF}:predict", {"instances": [[[1.0]], [[2.0]]]}, {"predictions": [[[2.5]], [[3.0]]]}),
        (f"{SHAPES}:predict", {"signature_name": "words", "instances": ["a", "bcd"]}, {"predictions": [1, 3]}),
        (f"{SHAPES}:predict", {"signature_name": "words", "inputs": "abc"}, {"outputs": 3}),
        (
            f"{SHAPES}:predict",
            {"signature_name": "dropout", "instances": [{"x": [1.0, 3.0], "dropout": 0.5}] * 2},
            {"predictions": [2.0, 2.0]},
        ),
        (
            f"{SHAPES}:predict",
            {"signature_name": "dropout", "inputs": {"x": [[1.0, 3.0], [2.0, 2.0]], "dropout": 0.5}},
            {"outputs": [2.0, 2.0]},
        ),
    ],
)
def test_requests_that_tf_serving_answers(running: server.Server, path: str, body: Any, answer: Any) -> None:
    assert ask(running.rest + path, body) == (200, answer)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v1/foo", "Malformed request"),
        ("POST", "/v1/foo", "Malformed request"),
        ("GET", "/v1/models", "Missing model name"),
        ("POST", "/v1/models", "Malformed request"),
        ("GET", "/v1/models/debug/model_name", "Malformed request"),
        ("GET", "/v1/models/foo:predict", "Malformed request"),
        ("GET", "/v1/models/foo/version/50:predict", "Malformed request"),
        ("POST", "/v1/models/foo/version/50:regress", "Malformed request"),
        ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request"),
        ("POST", f"/v1/models/foo/versions/{2**64 - 1}:regress", "Failed to convert version"),
        ("POST", "/v1/models/foo/metadata", "Malformed request"),
        ("POST", "/v1/models/foo/label/some_label:regress", "Malformed request"),
        ("POST", "/v1/models/foo/versions/50/labels/some_label:regress", "Malformed request"),
        ("POST", "/v1/models/foo/versions/some_label:regress", "Malformed request"),
    ],
)
def test_unknown_methods_are_refused(running: server.Server, method: str, path: str, message: str) -> None:
    response = requests.request(method, running.rest + path, timeout=30)
    assert (response.status_code, message in response.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/models/foo:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(foo)"),
        ("/v1/models/foo/versions/50:predict", {"instances": [1]}, 404, "Specific(foo, 50)"),
        (f"{HALF}99:predict", {"instances": [1]}, 404, "Latest(half_plus_two99)"),
        (f"{HALF}:predict", b"", 400, "JSON Parse error: The document is empty"),
        (f"{HALF}:predict", b"instances = [1, 2]", 400, "JSON Parse error: Invalid value"),
        (f"{HALF}:predict", {"instances": ["x", "y"]}, 400, "not of expected type: float"),
        (f"{HALF}/labels/none:predict", {"instances": ["x"]}, 400, "Unrecognized servable version label"),
        (f"{HALF}:predict", {"signature_name": 100}, 400, "'signature_name' key must be a string value."),
        # Inputs that the graph rejects: the input's name, then TensorFlow's message.
        (
            f"{SHAPES}:predict",
            {"instances": [[1.0, 2.0, 3.0]]},
            400,
            'Input "x" has the shape [1,3], the signature has [?,2]. Matrix size-incompatible',
        ),
        (f"{SHAPES}:predict", {"inputs": 1.0}, 400, 'Input "x" has the shape [], the signature has [?,2]. '),
        (
            f"{SHAPES}:predict",
            {"signature_name": "convolution", "inputs": 1.0},
            400,
            'Input "x" has the shape [], the signature has [?,4,4,1]. Shape must be rank 4 but is rank 0',
        ),
        (
            f"{SHAPES}:predict",
            {"signature_name": "convolution", "instances": [[]]},
            400,
            "must be rank 4 but is rank 2",
        ),
        (
            f"{HALF}:regress",
            {"signature_name": "regress_x2_to_y3", "examples": [{"x": 1.0}]},
            400,
            'Input "inputs": expects it to be float but string is provided',
        ),
        (f"{HALF}:regress", {"signature_name": "none", "examples": [{"x": 1.0}]}, 400, "not found"),
        (f"{HALF}:regress", {"examples": [{"x": 1.0}]}, 400, "Expected one input Tensor"),
        (f"{HALF}:classify", {"signature_name": "regress_x_to_y", "examples": [{}]}, 400, "Expected classification"),
        # Signatures that cannot be called.
        (
            "/v1/models/counter:predict",
            {"signature_name": "sparse", "inputs": 1},
            501,
            "not a dense tensor but coo_sparse",
        ),
        ("/v1/models/counter:predict", {"signature_name": "get_counter", "inputs": 1}, 400, "Failed to get input map"),
    ],
)
def test_requests_that_tf_serving_refuses(
    running: server.Server, path: str, body: Any, status: int, words: str
) -> None:
    code, answer = ask(running.rest + path, body)
    assert (code, words in answer["error"]) == (status, True), answer


def test_status_is_returned(running: server.Server) -> None:
    status = {"version": str(models.VERSION), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (HALF, VERSION, LABEL):
        assert ask(running.rest + path) == (200, {"model_version_status": [status]})


def test_metadata_are_returned(running: server.Server) -> None:
    def info(name: str, dtype: str, *sizes: str) -> dict[str, Any]:
        dims = [{"size": size, "name": ""} for size in sizes]
        return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}

    def signature(method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        method_name = f"tensorflow/serving/{method}"
        return {"inputs": inputs, "outputs": outputs, "method_name": method_name, "defaults": {}}

    floats = {name: info(f"{name}:0", "DT_FLOAT", "-1", "1") for name in ("x", "x2", "y", "y2", "y3")}
    examples = info("tf_example:0", "DT_STRING", "-1")
    expected = {
        "serving_default": signature("predict", {"x": floats["x"]}, {"y": floats["y"]}),
        "regress_x_to_y": signature("regress", {"inputs": examples}, {"outputs": floats["y"]}),
        "regress_x_to_y2": signature("regress", {"inputs": examples}, {"outputs": floats["y2"]}),
        "regress_x2_to_y3": signature("regress", {"inputs": floats["x2"]}, {"outputs": floats["y3"]}),
        "classify_x_to_y": signature("classify", {"inputs": examples}, {"scores": floats["y"]}),
        "classify_x2_to_y3": signature("classify", {"inputs": floats["x2"]}, {"scores": floats["y3"]}),
    }
    spec = {"name": "half_plus_two", "signature_name": "", "version": str(models.VERSION)}
    for path in (HALF, VERSION, LABEL):
        answer = {"model_spec": spec, "metadata": {"signature_def": {"signature_def": expected}}}
        assert ask(f"{running.rest}{path}/metadata") == (200, answer)


def document_of(body: str) -> dict[str, Any]:
    """A parsed body; the signature's name is read first."""
    document = parse(body.encode())
    signature_name(document)
    return document


DTYPES = {name: np.dtype(name) for name in ("int32", "float32", "float64", "object")}
NAMED = {
    "int_tensor": DTYPES["int32"],
    "str_tensor": DTYPES["object"],
    "float_tensor": DTYPES["float32"],
    "dbl_tensor": DTYPES["float64"],
}
LARGEST = np.finfo("float64").max


@pytest.mark.parametrize(
    ("body", "dtype", "values"),
    [
        ('{"instances": [[1,2],[3,4],[5,6]]}', "int32", [[1, 2], [3, 4], [5, 6]]),
        ('{"signature_name": "predict_images", "instances": [[1,2]]}', "int32", [[1, 2]]),
        ('{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}', "float32", [1, 2, 3, 4, 5.003, 0.007, 0]),
        ('{"instances": [1.0, 2, 3, 4, 0.662, 0, 0.0]}', "float64", [1, 2, 3, 4, 0.662, 0, 0]),
        ('{"instances": [1435774380]}', "float32", [1435774380]),
        ('{"instances": [1435774380.0]}', "float32", [1435774380]),
        (f'{{"instances": [{LARGEST}, {-LARGEST}]}}', "float32", [math.inf, -math.inf]),
        ('{"instances": [2.2250738585072014e-308, -2.2250738585072014e-308]}', "float32", [0.0, -0.0]),
        ('{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}', "object", [b"hello", b"world"]),
        ('{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}', "object", [[b"hello"], [b"world"]]),
        (
            '{"instances": [{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]}',
            "object",
            [[[b"hello"], [b"world"]]],
        ),
        ('{"inputs": {"x": [[[1,2],[3,4],[5,6]]]}}', "int32", [[[1, 2], [3, 4], [5, 6]]]),
        ('{"inputs": [[[1,2],[3,4],[5,6]]]}', "int32", [[[1, 2], [3, 4], [5, 6]]]),
    ],
)
def test_json_tensors_are_decoded(body: str, dtype: str, values: Any) -> None:
    form, arrays = decode(parse(body.encode()), {"x": DTYPES[dtype]})
    assert form == ("row" if "instances" in body else "column")
    np.testing.assert_array_equal(arrays["x"], np.array(values, dtype), strict=True)
    assert np.signbit(arrays["x"]).tolist() == np.signbit(values).tolist() if dtype == "float32" else True


def test_several_json_tensors_are_decoded() -> None:
    rows = """{"instances": [
        {"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"], "float_tensor": [1.0, NaN],
         "dbl_tensor": [NaN]},
        {"int_tensor": [[7,8],[9,0],[1,2]], "str_tensor": ["baz", "bat"], "float_tensor": [2.0, Infinity],
         "dbl_tensor": [2.0]}]}"""
    form, arrays = decode(parse(rows.encode()), NAMED)
    expected = {
        "int_tensor": [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]],
        "str_tensor": [[b"foo", b"bar"], [b"baz", b"bat"]],
        "float_tensor": [[1.0, math.nan], [2.0, math.inf]],
        "dbl_tensor": [[math.nan], [2.0]],
    }
    assert form == "row"
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], np.array(values, NAMED[name]), strict=True)
    columns = """{"inputs": {"int_tensor": [[[1,2],[3,4],[5,6]]], "str_tensor": ["foo", "bar"],
        "bin_tensor": {"b64": "aGVsbG8="}}}"""
    dtypes = {"int_tensor": DTYPES["int32"], "str_tensor": DTYPES["object"], "bin_tensor": DTYPES["object"]}
    form, arrays = decode(parse(columns.encode()), dtypes)
    assert (form, arrays["bin_tensor"].shape, arrays["bin_tensor"][()]) == ("column", (), b"hello")
    assert (arrays["str_tensor"].tolist(), arrays["int_tensor"].shape) == ([b"foo", b"bar"], (1, 3, 2))


@pytest.mark.parametrize(
    ("body", "dtypes", "message"),
    [
        ("", {"x": "int32"}, "document is empty"),
        ('{"signature_name": 5, "instances": [[1,2],[3,4],[5,6,7]]}', {"x": "int32"}, "must be a string value"),
        ('{"instances": [[1,2]], "inputs": [[1,2]]}', {"x": "int32"}, "Not formatted correctly"),
        ('{"instances": [[1,2],[3,4],[5,6,7]]}', {"x": "int32"}, "Expecting tensor size"),
        ('{"instances": [[1,2],[3,4],[[5,6]]]}', {"x": "int32"}, "Expecting shape"),
        ('{"instances": [1, [1]]}', {"x": "int32"}, "Expecting shape"),
        ('{"instances": [[1,2],["a", "b"]]}', {"x": "int32"}, "not of expected type"),
        ('{"instances": [{"i": [[1],[2]], "s": ["a"]}, {"i": [[[1],[2]]], "s": ["b"]}]}', {}, "Expecting shape"),
        ('{"instances": [{"i": [[1],[2]], "s": ["a"]}, {"i": [[1]], "s": ["b"]}]}', {}, "Expecting tensor size"),
        ('{"instances": [{"i": [1], "s": ["a"]}, [1, 20, 30]]}', {}, "Expecting object but got list"),
        ('{"instances": [["a", "b"], {"x": ["a", "b"]}]}', {"x": "object"}, "Expecting value/list but got object"),
    ],
)
def test_tensors_that_tf_serving_refuses(body: str, dtypes: dict[str, str], message: str) -> None:
    wanted = {name: DTYPES[each] for name, each in (dtypes or {"i": "int32", "s": "object"}).items()}
    with pytest.raises(ServingError, match=message) as caught:
        decode(document_of(body), wanted)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def strings(values: Any) -> np.ndarray:
    return np.array(values, object)


INTS = np.array([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]], np.int32)
SEVERAL = {
    "int_tensor": INTS,
    "str_tensor": strings([[b"foo", b"bar"], [b"baz", b"bat"]]),
    "float_tensor": np.array([[1.0], [2.0]], np.float32),
    "double_scalar_tensor": np.array([8.0, 9.0]),
    "str_tensor_bytes": strings([[b"hello", b"world"], [b"tf", b"serving"]]),
}
BYTES = [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}], [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]


@pytest.mark.parametrize(
    ("form", "outputs", "answer"),
    [
        ("row", {"y": INTS}, {"predictions": INTS.tolist()}),
        ("column", {"y": INTS}, {"outputs": INTS.tolist()}),
        ("row", {"y": np.arange(1, 6, dtype=np.int32)}, {"predictions": [1, 2, 3, 4, 5]}),
        ("column", {"y": np.arange(1, 6, dtype=np.int32)}, {"outputs": [1, 2, 3, 4, 5]}),
        ("row", {"y_bytes": SEVERAL["str_tensor_bytes"]}, {"predictions": BYTES}),
        (
            "row",
            {"y": np.array([[9000000, 999999, 0.5], [0.0003, 0.00003, 555557.5]], np.float32)},
            {"predictions": [[9e06, 999999.0, 0.5], [0.0003, 3e-05, 555557.5]]},
        ),
        (
            "row",
            SEVERAL,
            {
                "predictions": [
                    {
                        "double_scalar_tensor": double,
                        "float_tensor": [number],
                        "int_tensor": INTS[row].tolist(),
                        "str_tensor": words,
                        "str_tensor_bytes": BYTES[row],
                    }
                    for row, double, number, words in ((0, 8.0, 1.0, ["foo", "bar"]), (1, 9.0, 2.0, ["baz", "bat"]))
                ]
            },
        ),
        (
            "column",
            SEVERAL,
            {
                "outputs": {
                    "double_scalar_tensor": [8.0, 9.0],
                    "float_tensor": [[1.0], [2.0]],
                    "int_tensor": INTS.tolist(),
                    "str_tensor": [["foo", "bar"], ["baz", "bat"]],
                    "str_tensor_bytes": BYTES,
                }
            },
        ),
        ("row", {"y": np.zeros((0, 2), np.int32)}, {"predictions": []}),
        ("row", {"y": np.zeros((0, 1, 2), object), "z": np.zeros((0, 3, 4), np.float32)}, {"predictions": []}),
    ],
)
def test_outputs_are_encoded_as_json(form: Any, outputs: dict[str, np.ndarray], answer: Any) -> None:
    assert json.loads(encode(outputs, form)) == answer


def test_floats_are_encoded_as_by_tf_serving() -> None:
    values = np.array([[np.nan, np.inf], [3, -np.inf]], np.float32)
    assert encode({"y": values}, "row") == b'{"predictions":[[NaN,Infinity],[3.0,-Infinity]]}'
    assert encode({"y": np.array([999999, 0.5, 0.0003], np.float32)}, "row") == b'{"predictions":[999999.0,0.5,0.0003]}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "empty tensor map"),
        ({"y": np.zeros(2, np.complex64)}, "tensor type: complex64"),
        ({"y": np.array(1, np.int32)}, "no shape information"),
        ({"y": np.zeros((2, 3), np.int32), "z": strings([[b"a", b"b"]])}, "inconsistent batch size"),
        ({"y": np.zeros((0, 2), np.int32), "z": strings([[b"a", b"b"]])}, "inconsistent batch size"),
    ],
)
def test_outputs_that_tf_serving_refuses(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        encode(outputs, "row")
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_json_examples_are_decoded() -> None:
    body = """{"signature_name": "custom", "context": {"query": "pizza", "location": ["sfo"]}, "examples": [
        {"names": ["foo", "bar"], "ratings": [8.0, 9.0, NaN, Infinity], "age": 20},
        {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 6.0, "intboolmix": [1, true, false]},
        {"names": "bar", "ratings": -Infinity}]}"""
    document = parse(body.encode())
    assert signature_name(document) == "custom"
    features = [
        {name: list(getattr(value, value.WhichOneof("kind")).value) for name, value in found.features.feature.items()}
        for found in map(example_pb2.Example.FromString, inference.decode(document, "classify"))
    ]
    context = {"query": [b"pizza"], "location": [b"sfo"]}
    assert math.isnan(features[0]["ratings"].pop(2))
    assert features == [
        {**context, "names": [b"foo", b"bar"], "ratings": [8.0, 9.0, math.inf], "age": [20]},
        {**context, "names": [b"baz", b"hello"], "ratings": [6.0], "intboolmix": [1, 1, 0]},
        {**context, "names": [b"bar"], "ratings": [-math.inf]},
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"signature_name": ["hello"], "examples": [{"names": ["foo"]}]}', "'signature_name' key must be a string"),
        ('{"context": [{"names": ["foo", "bar"]}]}', "Example must be JSON object"),
        ('{"examples": {"names": ["foo", "bar"]}}', "list/array"),
        ('{"examples": [[{"names": ["foo", "bar"]}]]}', "Example must be JSON object"),
        ('{"examples": [{"names": [10, null]}]}', "names has element with unexpected JSON type: Null"),
        ('{"examples": [{"names": [10, 10.0]}]}', "feature: names expecting type: int64"),
        ('{"examples": [{"names": [10, {"test": 10}]}]}', "names has element with unexpected JSON type: Object"),
        ('{"examples": [{"names": [[10], 20]}]}', "names has element with unexpected JSON type: Array"),
        ('{"examples": [{"names": [20, 18446744073709551603]}]}', "Only int64_t is supported"),
    ],
)
def test_examples_that_tf_serving_refuses(body: str, message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        inference.decode(document_of(body), "classify")
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_results_are_encoded_as_json() -> None:
    result = classification_pb2.ClassificationResult()
    rows = [[["car", 0.2], ["bike", 0.7], ["bus", 0.1]], [["car", 0.7], ["bike", 0.1], ["bus", 0.2]]]
    for row in rows:
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)
    assert json.loads(inference.encode_classifications(result)) == {"results": rows}
    numbers = regression_pb2.RegressionResult()
    for value in (0.2, math.inf, 1.0, -math.inf, math.nan):
        numbers.regressions.add(value=value)
    assert inference.encode_regressions(numbers) == b'{"results":[0.2,Infinity,1.0,-Infinity,NaN]}'
    with pytest.raises(ServingError, match="empty ClassificationResults"):
        inference.encode_classifications(classification_pb2.ClassificationResult())
    with pytest.raises(ServingError, match="empty RegressionResults"):
        inference.encode_regressions(regression_pb2.RegressionResult())
