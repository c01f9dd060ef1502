"""A model server with two versions that answer the same, but fail or take as long as they are told.

    python -m benchmarks.delivery.versions --address-file FILE

It has TF Serving's Predict and GetModelMetadata for the labels `stable` (version 1) and `canary` (version 2).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
from pathlib import Path
from typing import Any

import grpc

from components.data.serving_stubs import get_model_metadata_pb2, predict_pb2

PREDICT = "/tensorflow.serving.PredictionService/Predict"
_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
_CONTROL = "/control/Set"

SOUND = {"fail": 0.0, "ms": 0.0, "sigma": 0.0}
"""How a version behaves: the share of requests that fail, the median latency, and the spread of its logarithm."""


class Versions(grpc.GenericRpcHandler):
    """Answers by label."""

    def __init__(self) -> None:
        self.labels = {"stable": 1, "canary": 2}
        self.behaviour = {1: dict(SOUND), 2: dict(SOUND)}

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method."""
        found = {PREDICT: self._predict, _METADATA: self._metadata, _CONTROL: self._control}
        return grpc.unary_unary_rpc_method_handler(found[handler_call_details.method])

    async def _predict(self, request: bytes, context: Any) -> bytes:
        spec = predict_pb2.PredictRequest.FromString(request).model_spec
        version = await self._version(spec, context)
        behaviour = self.behaviour[version]
        if behaviour["ms"]:
            await asyncio.sleep(behaviour["ms"] / 1000 * random.lognormvariate(0, behaviour["sigma"]))
        if random.random() < behaviour["fail"]:
            await context.abort(grpc.StatusCode.INTERNAL, "this request fails")
        response = predict_pb2.PredictResponse(model_spec=spec)
        response.model_spec.version.value = version
        return response.SerializeToString()

    async def _metadata(self, request: bytes, context: Any) -> bytes:
        spec = get_model_metadata_pb2.GetModelMetadataRequest.FromString(request).model_spec
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        response.model_spec.version.value = await self._version(spec, context)
        return response.SerializeToString()

    async def _version(self, spec: Any, context: Any) -> int:
        if spec.version_label and spec.version_label not in self.labels:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Unrecognized servable version label: {spec.version_label}")
        return self.labels[spec.version_label or "stable"]

    async def _control(self, request: bytes, context: Any) -> bytes:
        """Takes `{"labels": {NAME: VERSION}}`, or behaviours by version."""
        given = json.loads(request)
        self.labels = given.pop("labels", self.labels)
        for version, behaviour in given.items():
            self.behaviour[int(version)] = {**SOUND, **behaviour}
        return b""


def control(address: str, **given: Any) -> None:
    """Changes a server's labels, or `versions`, a map of behaviours."""
    body = {**given.pop("versions", {}), **given}
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        channel.unary_unary(_CONTROL)(json.dumps(body).encode(), timeout=10)


async def drive(address: str, rate: float, stop: asyncio.Event | None = None, seconds: float = 1e9) -> int:
    """Sends so many requests a second, evenly, whatever becomes of them; returns how many were sent."""
    sent, clock = 0, asyncio.get_running_loop().time
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "taxi"
    body, pending = request.SerializeToString(), set[asyncio.Task[None]]()
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        method, began = channel.unary_unary(PREDICT), clock()
        while clock() - began < seconds and not (stop and stop.is_set()):
            due = int((clock() - began) * rate) - sent
            for _ in range(due):
                task = asyncio.create_task(_one(method, body))
                pending.add(task)
                task.add_done_callback(pending.discard)
            sent += due
            await asyncio.sleep(0.004)
        await asyncio.gather(*pending)
    return sent


async def _one(method: Any, body: bytes) -> None:
    try:
        await method(body, timeout=10)
    except grpc.aio.AioRpcError:
        return


async def _serve(address_file: Path) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Versions(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    partial = address_file.with_suffix(".partial")
    partial.write_text(f"127.0.0.1:{port}\n")
    partial.rename(address_file)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address-file", type=Path, required=True)
    asyncio.run(_serve(parser.parse_args().address_file))
