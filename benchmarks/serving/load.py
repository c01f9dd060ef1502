"""A load on a model server, from a separate process.

    python -m benchmarks.serving.load '{"protocol": "grpc", ...}'

The requests are serialized in advance, and the responses are not parsed, except for a sample that is compared with the
response to the same request alone. This makes one Python process cheap enough to act as 64 clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import pickle
import resource
import subprocess
import sys
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np

from benchmarks.serving.figures import OK, WRONG, Samples
from components.data.serving_stubs import predict_pb2, prediction_service_pb2_grpc
from components.data.tensor_protos import from_proto

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT = 10.0
COMPARED = 64
"""One answer of so many is compared."""
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # one connection per client
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


@dataclass(frozen=True)
class Load:
    """A load.

    Attributes:
        protocol: `stub`: the generated stub, blocking; `grpc`: bytes over grpc.aio; `rest`: POST of JSON.
        target: `host:port`.
        path: The gRPC method, or the path of the URL.
        requests: The file with a pickled list of the requests' bytes.
        seconds: The duration.
        clients: The number of connections.
        rate: Requests per second over all clients: each is sent when it is due, or as soon as a client is free. With 0,
            each client sends its next request after a response.
        patient: Whether a late request counts from when it was due, and is still sent at the end.
        warm_seconds: The warm-up time, in which requests are not counted.
    """

    protocol: str
    target: str
    path: str
    requests: str
    seconds: float
    clients: int = 1
    rate: float = 0
    patient: bool = True
    warm_seconds: float = 1


Call = Callable[[bytes], Awaitable[tuple[str, bytes]]]
"""Sends a request, and returns the code and the answer."""


class _Record:
    """Records samples, and checks that responses do not change."""

    def __init__(self, answer: Callable[[bytes], Any]) -> None:
        self._answer, self._expected = answer, dict[bytes, Any]()
        self._at, self._ms, self._codes = array("d"), array("d"), list[str]()
        self._said = dict[str, Any]()
        # Two clocks: one for durations, and one shared with other processes.
        self._offset = time.time() - time.perf_counter()

    def expect(self, request: bytes, response: bytes) -> None:
        self._expected[request] = self._answer(response)

    def add(self, request: bytes, began: float, code: str, response: bytes) -> None:
        self._at.append(began + self._offset)
        self._ms.append((time.perf_counter() - began) * 1000)
        if code == OK and len(self._codes) % COMPARED == 0 and not self._is_right(request, response):
            code = WRONG
        if code != OK:
            self._said.setdefault(code, response)
        self._codes.append(code)

    def _is_right(self, request: bytes, response: bytes) -> bool:
        expected, found = self._expected[request], self._answer(response)
        return expected is None or (
            expected.shape == found.shape and np.allclose(expected, found, rtol=1e-3, atol=1e-5)
        )

    def forget(self) -> None:
        del self._at[:], self._ms[:], self._codes[:]

    def samples(self, cores: float) -> Samples:
        for code, said in self._said.items():
            print(f"{code}, for the first time: {said!r:.500}", file=sys.stderr)
        return Samples(np.array(self._at), np.array(self._ms), np.array(self._codes, dtype="U24"), cores)


def _answer_of(path: str) -> Callable[[bytes], Any]:
    """Reads the numbers in a response; None for a protocol that is not parsed."""
    if path == PREDICT:
        return _predicted
    return _listed if path.endswith(":predict") else lambda _: None


def _predicted(response: bytes) -> Any:
    (output,) = predict_pb2.PredictResponse.FromString(response).outputs.values()
    return from_proto(output)


def _listed(response: bytes) -> Any:
    return np.array(json.loads(response)["predictions"])


@contextlib.asynccontextmanager
async def _grpc_calls(load: Load) -> AsyncIterator[list[Call]]:
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(load.target, _OPTIONS))
            for _ in range(load.clients)
        ]
        yield [_grpc_call(channel.unary_unary(load.path)) for channel in channels]


def _grpc_call(method: Any) -> Call:
    async def call(request: bytes) -> tuple[str, bytes]:
        try:
            return OK, await method(request, timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return error.code().name, str(error.details()).encode()

    return call


@contextlib.asynccontextmanager
async def _rest_calls(load: Load) -> AsyncIterator[list[Call]]:
    url = f"http://{load.target}{load.path}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def call(request: bytes) -> tuple[str, bytes]:
            try:
                async with session.post(url, data=request) as response:
                    return OK if response.status == 200 else str(response.status), await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                return type(error).__name__, str(error).encode()

        yield [call] * load.clients


async def _loaded(load: Load, requests: list[bytes]) -> Samples:
    record = _Record(_answer_of(load.path))
    async with (_grpc_calls if load.protocol == "grpc" else _rest_calls)(load) as calls:
        for request in requests:
            code, response = await calls[0](request)
            if code != OK:
                raise SystemExit(f"{load.target}{load.path} answers {code}: {response[:500]!r}")
            record.expect(request, response)
        if load.warm_seconds:
            await _run(load, calls, requests, record, load.warm_seconds)
            record.forget()
        cores = _cores()
        await _run(load, calls, requests, record, load.seconds)
    return record.samples(cores())


async def _run(load: Load, calls: list[Call], requests: list[bytes], record: _Record, seconds: float) -> None:
    sent = itertools.cycle(requests)
    if load.rate:
        due = _due(load, seconds)
        await asyncio.gather(*(_when_due(call, sent, record, due) for call in calls))
    else:
        await asyncio.gather(*(_one_by_one(call, sent, record, time.perf_counter() + seconds) for call in calls))


async def _one_by_one(call: Call, sent: Iterator[bytes], record: _Record, end: float) -> None:
    while (began := time.perf_counter()) < end:
        request = next(sent)
        code, response = await call(request)
        record.add(request, began, code, response)


def _due(load: Load, seconds: float) -> Iterator[float]:
    """The times at which requests are due, for the next free client."""
    begin = time.perf_counter()
    for number in range(int(load.rate * seconds)):
        due, now = begin + number / load.rate, time.perf_counter()
        if not load.patient and now > begin + seconds:
            return
        yield due if load.patient else max(due, now)


async def _when_due(call: Call, sent: Iterator[bytes], record: _Record, due: Iterator[float]) -> None:
    """Sends the next due request as soon as this client is free."""
    for began in due:
        if (early := began - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        request = next(sent)
        code, response = await call(request)
        record.add(request, began, code, response)


def _blocking(load: Load, requests: list[bytes]) -> Samples:
    """One client with the generated stub: the time includes serializing and parsing."""
    record = _Record(lambda response: from_proto(next(iter(response.outputs.values()))))  # type: ignore[attr-defined]
    messages = {request: predict_pb2.PredictRequest.FromString(request) for request in requests}
    with grpc.insecure_channel(load.target, _OPTIONS) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        for request in requests:
            record.expect(request, predict(messages[request], timeout=TIMEOUT))
        sent, cores = itertools.cycle(requests), _cores()
        for seconds in (load.warm_seconds, load.seconds):
            record.forget()
            cores = _cores()
            end = time.perf_counter() + seconds
            while (began := time.perf_counter()) < end:
                request = next(sent)
                try:
                    record.add(request, began, OK, predict(messages[request], timeout=TIMEOUT))
                except grpc.RpcError as error:
                    record.add(request, began, error.code().name, error.details())
    return record.samples(cores())


def _cores() -> Callable[[], float]:
    """Measures from now on how many cores this process keeps busy."""
    began, used = time.perf_counter(), _used()
    return lambda: (_used() - used) / (time.perf_counter() - began)


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(load: Load, output: Path) -> None:
    """Runs the load and writes the samples."""
    requests = pickle.loads(Path(load.requests).read_bytes())
    found = _blocking(load, requests) if load.protocol == "stub" else asyncio.run(_loaded(load, requests))
    found.save(output)


@contextlib.contextmanager
def started(load: Load, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The load in a process that ends with the block; when it has finished, use `Samples.load(output)`."""
    command = [sys.executable, "-m", __spec__.name, json.dumps(asdict(load)), str(output)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def samples(load: Load, output: Path) -> Samples:
    """The samples of a load, after it has finished."""
    with started(load, output) as process:
        if process.wait():
            raise SystemExit(f"the load on {load.target}{load.path} failed")
    return Samples.load(output)


if __name__ == "__main__":
    main(Load(**json.loads(sys.argv[1])), Path(sys.argv[2]))
