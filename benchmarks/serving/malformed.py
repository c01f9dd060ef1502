"""Sends malformed requests of several kinds for some time, and counts the responses.

python -m benchmarks.serving.malformed GRPC_ADDRESS REST_ADDRESS MODEL SECONDS A_SECOND OUTPUT
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import requests  # type: ignore[import-untyped]

from benchmarks.serving.load import PREDICT
from components.data.serving_stubs import predict_pb2, types_pb2
from components.data.tensor_protos import to_proto

_GARBAGE = b"\xff\xfe no message \x00" * 8
_TEXTS = np.array([b""], dtype=object)


def _request(model: str, signature: str = "", name: str = "examples", array: Any = _TEXTS, dtype: Any = None) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    request.inputs[name].CopyFrom(to_proto(array, types_pb2.DT_STRING if dtype is None else dtype))
    found: bytes = request.SerializeToString()
    return found


def _grpc_requests(model: str) -> dict[str, bytes]:
    return {
        "garbage as the message": _GARBAGE,
        "a float tensor for strings": _request(model, array=np.ones(1, np.float32), dtype=types_pb2.DT_FLOAT),
        "a matrix for a vector": _request(model, array=_TEXTS.reshape(1, 1)),
        "no tf.Example in the tensor": _request(model, array=np.array([_GARBAGE], dtype=object)),
        "an unknown input": _request(model, name="no_such_input"),
        "an unknown signature": _request(model, signature="no_such_signature"),
        "an unknown model": _request("no_such_model"),
    }


def _rest_requests(model: str) -> dict[str, tuple[str, bytes]]:
    body = json.dumps({"instances": [{"b64": ""}]}).encode()
    return {
        "REST: broken JSON": (f"/v1/models/{model}:predict", body[:-4]),
        "REST: a number for a string": (f"/v1/models/{model}:predict", b'{"instances": [7]}'),
        "REST: an unknown signature": (
            f"/v1/models/{model}:predict",
            b'{"signature_name": "no_such_signature", "instances": [{"b64": ""}]}',
        ),
        "REST: an unknown model": ("/v1/models/no_such_model:predict", body),
    }


def _grpc_call(method: Any, request: bytes) -> str:
    try:
        method(request, timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _rest_call(session: requests.Session, url: str, body: bytes) -> str:
    try:
        return str(session.post(url, data=body, timeout=10).status_code)
    except requests.RequestException as error:
        return type(error).__name__


def main(target: str, rest: str, model: str, seconds: float, rate: float, output: Path) -> None:
    """Sends one after another at a fixed rate, and writes `{kind: {code: count}}`."""
    found: dict[str, Counter[str]] = {}
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel, requests.Session() as session:
        session.trust_env = False
        method = channel.unary_unary(PREDICT)
        kinds: dict[str, Callable[[], str]] = {}
        for kind, request in _grpc_requests(model).items():
            kinds[kind] = lambda request=request: _grpc_call(method, request)  # type: ignore[misc]
        for kind, (path, body) in _rest_requests(model).items():
            kinds[kind] = lambda path=path, body=body: _rest_call(session, f"http://{rest}{path}", body)  # type: ignore[misc]
        end = time.monotonic() + seconds
        for kind in itertools.cycle(kinds):
            if time.monotonic() >= end:
                break
            found.setdefault(kind, Counter())[kinds[kind]()] += 1
            time.sleep(1 / rate)
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(float, sys.argv[4:6]), Path(sys.argv[6]))  # type: ignore[call-arg,arg-type]
