"""A minimal model server with TF Serving's API that reports the answering version and logs its requests.

    python -m tests.taxiway.small_server --address-file FILE [--port N] [--labels stable=1,canary=2]

Its model `taxi` has the signatures `serving_default` (`fare`: float [-1], `trips`: int64 [-1, 1], `company`: string
[-1]) and `examples` (serialized tf.Examples). A request with `seconds` in its metadata, or headers, is answered later.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import signal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from aiohttp import web
from google.protobuf import json_format

from components.data.serving_stubs import (
    example_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    tensor_pb2,
    types_pb2,
)

SIGNATURES = {
    "serving_default": (
        {
            "fare": (types_pb2.DT_FLOAT, [-1]),
            "trips": (types_pb2.DT_INT64, [-1, 1]),
            "company": (types_pb2.DT_STRING, [-1]),
        },
        {"cost": types_pb2.DT_FLOAT, "named": types_pb2.DT_STRING},
    ),
    "examples": ({"examples": (types_pb2.DT_STRING, [-1])}, {"features": types_pb2.DT_STRING}),
    "vectors": ({"x": (types_pb2.DT_DOUBLE, [-1, 2]), "flag": (types_pb2.DT_BOOL, [-1])}, {"sum": types_pb2.DT_DOUBLE}),
}
KINDS = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_DOUBLE: np.float64,
    types_pb2.DT_BOOL: np.bool_,
}


def definitions() -> Any:
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, (inputs, outputs) in SIGNATURES.items():
        signature = found.signature_def[name]
        signature.method_name = "tensorflow/serving/predict"
        for key, (dtype, shape) in inputs.items():
            signature.inputs[key].dtype = dtype
            for size in shape:
                signature.inputs[key].tensor_shape.dim.add(size=size)
        for key, dtype in outputs.items():
            signature.outputs[key].dtype = dtype
            signature.outputs[key].tensor_shape.dim.add(size=-1)
    return found


def computed(signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs for arrays and lists of bytes."""
    if signature == "examples":
        return {"features": [described(record) for record in inputs["examples"]]}
    if signature == "vectors":
        return {"sum": np.sum(inputs["x"], axis=1, dtype=np.float64) * np.where(inputs["flag"], 1, -1)}
    if any(value < 0 for value in np.asarray(inputs["fare"])):
        raise ValueError("fare is negative")
    cost = np.asarray(inputs["fare"], np.float32) * np.asarray(inputs["trips"], np.float32)[:, 0]
    return {"cost": cost, "named": [b"<" + name + b">" for name in inputs["company"]]}


def described(record: bytes) -> bytes:
    features = example_pb2.Example.FromString(record).features.feature
    kinds = {name: features[name].WhichOneof("kind") for name in sorted(features)}
    values = {name: list(getattr(features[name], kind).value) if kind else None for name, kind in kinds.items()}
    return json.dumps({name: [kinds[name], values[name]] for name in kinds}, default=bytes.decode).encode()


def array(proto: Any) -> Any:
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype == types_pb2.DT_STRING:
        return list(proto.string_val)
    return np.frombuffer(proto.tensor_content, KINDS[proto.dtype]).reshape(shape)


def proto(values: Any) -> Any:
    if isinstance(values, list):
        message = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=values)
    else:
        kind = next(kind for kind, numpy in KINDS.items() if numpy == values.dtype)
        message = tensor_pb2.TensorProto(dtype=kind, **{f"{'float' if kind == 1 else 'double'}_val": values.tolist()})
    message.tensor_shape.dim.add(size=len(values))
    return message


PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(?P<verb>:predict|/metadata)"
)


class Versions:
    """Chooses the version that answers a request."""

    def __init__(self, labels: dict[str, int]) -> None:
        self.labels = labels

    def answering(self, model: str, version: int | None, label: str) -> int:
        if model != "taxi":
            raise LookupError(f"Servable not found for request: Latest({model})")
        if label and label not in self.labels:
            raise LookupError(f"Unrecognized servable version label: {label}")
        if version is not None and version not in self.labels.values():
            raise LookupError(f"Servable not found for request: Specific(taxi, {version})")
        return version if version is not None else self.labels[label] if label else max(self.labels.values())


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, versions: Versions) -> None:
        self.versions = versions
        self.cancelled = 0

    async def Predict(self, request: Any, context: Any) -> Any:
        version = await self._version(request.model_spec, context)
        given = dict(context.invocation_metadata())
        context.set_trailing_metadata([("saw", given.get("user-id", "")), ("cancelled", str(self.cancelled))])
        await context.send_initial_metadata([("left", str(round(context.time_remaining() or 0)))])
        try:
            await asyncio.sleep(float(given.get("seconds", 0)))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        try:
            inputs = {name: array(tensor) for name, tensor in request.inputs.items()}
            outputs = computed(request.model_spec.signature_name or "serving_default", inputs)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(proto(values))
        response.model_spec.name = "taxi"
        response.model_spec.version.value = version
        return response

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        version = await self._version(request.model_spec, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.model_spec.version.value = version
        response.metadata["signature_def"].Pack(definitions())
        return response

    async def _version(self, spec: Any, context: Any) -> int:
        version = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
        try:
            return self.versions.answering(spec.name, version, spec.version_label)
        except LookupError as error:
            return await context.abort(grpc.StatusCode.NOT_FOUND, str(error))


def rest(versions: Versions) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        match = PATH.fullmatch(request.path)
        if match is None:
            return web.json_response({"error": f"Malformed request: {request.method} {request.path}"}, status=400)
        parts = match.groupdict()
        number = int(parts["version"]) if parts["version"] else None
        try:
            version = versions.answering(parts["model"], number, parts["label"] or "")
        except LookupError as error:
            return web.json_response({"error": str(error)}, status=404)
        if parts["verb"] == "/metadata":
            made = json.loads(json_format.MessageToJson(definitions(), preserving_proto_field_name=True))
            return web.json_response({"metadata": {"signature_def": made}})
        await asyncio.sleep(float(request.headers.get("seconds", 0)))
        body = await request.json(loads=lambda text: json.loads(text, object_hook=_bytes))
        inputs = {
            name: [value.encode() if isinstance(value, str) else value for value in values]
            for name, values in body["inputs"].items()
        }
        try:
            outputs = computed(body.get("signature_name", "serving_default"), inputs)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        match = {name: _jsonable(values) for name, values in outputs.items()}
        headers = {"version": str(version), "saw": request.headers.get("user-id", "")}
        return web.json_response({"outputs": match if len(match) > 1 else next(iter(match.values()))}, headers=headers)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def _bytes(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["b64"]) if found.keys() == {"b64"} else found


def _jsonable(values: Any) -> Any:
    return [value.decode() for value in values] if isinstance(values, list) else values.tolist()


async def serve(options: argparse.Namespace) -> None:
    versions = Versions({name: int(number) for name, _, number in (each.partition("=") for each in options.labels)})
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(versions), server)
    port = server.add_insecure_port(f"127.0.0.1:{options.port}")
    await server.start()
    runner = web.AppRunner(rest(versions), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.rest_port)
    await site.start()
    rest_port = runner.addresses[0][1]
    partial = options.address_file.with_suffix(".partial")
    partial.write_text(f"127.0.0.1:{port}\n127.0.0.1:{rest_port}\n")
    partial.rename(options.address_file)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(0)
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address-file", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rest-port", type=int, default=0)
    parser.add_argument("--labels", type=lambda text: text.split(","), default=["stable=1", "canary=2"])
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
