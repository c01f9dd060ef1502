"""Shared parts of the serving benchmark: a model, its requests, loads on servers and on the bare call."""

from __future__ import annotations

import base64
import itertools
import json
import pickle
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np

from benchmarks.serving.figures import Figure, Samples, summary
from benchmarks.serving.load import PREDICT, Load, samples
from benchmarks.serving.servers import NAME, Server, process
from components.data.serving_stubs import predict_pb2, types_pb2
from components.data.tensor_protos import from_proto, to_proto
from taxiway.prediction import signatures
from taxiway.prediction.examples_file import open_examples
from taxiway.prediction.signatures import Input, Signature

_SIGNATURE = Signature("serving_default", [Input("examples", types_pb2.DT_STRING, (-1,))], [])
_REST = f"/v1/models/{NAME}:predict"
_INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Requests:
    """Requests with a number of examples each, in a folder: a pickled list of bytes per protocol.

    Attributes:
        folder: `batches`: lists of serialized tf.Examples; `predict`: PredictRequests; `rest`: JSON; `infer`:
            ModelInferRequests, if KServe's environment has written them.
        examples: The number of examples in each.
    """

    folder: Path
    examples: int

    @property
    def batches(self) -> Path:
        """The lists of tf.Examples."""
        return self.folder / "batches"


def write_requests(folder: Path, trips: Path, examples: int, count: int) -> Requests:
    """Writes requests of taxi trips.

    Args:
        folder: The folder; created.
        trips: The trips, a CSV file.
        examples: The number of examples per request.
        count: The number of requests.
    """
    folder.mkdir()
    made = itertools.islice(signatures.batches(_SIGNATURE, open_examples(trips), examples), count)
    batches = [batch["examples"][0].tolist() for batch in made]
    for name, found in {
        "batches": batches,
        "predict": [_predict_request(batch) for batch in batches],
        "rest": [_rest_request(batch) for batch in batches],
    }.items():
        (folder / name).write_bytes(pickle.dumps(found))
    return Requests(folder, examples)


def _predict_request(batch: list[bytes]) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = NAME, "serving_default"
    request.inputs["examples"].CopyFrom(to_proto(np.array(batch, dtype=object), types_pb2.DT_STRING))
    found: bytes = request.SerializeToString()
    return found


def _rest_request(batch: list[bytes]) -> bytes:
    instances = [{"b64": base64.b64encode(example).decode()} for example in batch]
    return json.dumps({"signature_name": "serving_default", "instances": instances}).encode()


class Bench:
    """A model and its requests, in a folder that also holds the measurements."""

    def __init__(self, work: Path, model: Path, trips: Path, seconds: float) -> None:
        """Copies the latest version of a model, and writes requests.

        Args:
            work: The folder.
            model: A folder whose subfolders are versions.
            trips: The trips for the requests, a CSV file.
            seconds: The duration of each load.
        """
        self.work, self.seconds = work, seconds
        self.models = work / "models" / NAME
        self.version = self.models / "1"
        versions = [path for path in model.iterdir() if path.name.isdecimal()]
        if not versions:
            raise SystemExit(f"{model} has no subfolder that is a version")
        shutil.copytree(max(versions, key=lambda path: int(path.name)), self.version)
        self.single = write_requests(work / "requests-1", trips, examples=1, count=64)
        self.block = write_requests(work / "requests-256", trips, examples=256, count=16)
        self._number = 0

    def new(self, name: str) -> Path:
        """A path that does not exist yet."""
        self._number += 1
        return self.work / f"{self._number:03}-{name}"

    def request(self, server: Server, protocol: str, requests: Requests) -> Load:
        """A load of requests on a server.

        Args:
            server: The server.
            protocol: `stub`, `grpc` or `rest` as in `Load`, or `infer` for KServe's gRPC.
            requests: The requests.
        """
        kind, target, path, file = {
            "stub": ("stub", server.grpc, PREDICT, "predict"),
            "grpc": ("grpc", server.grpc, PREDICT, "predict"),
            "rest": ("rest", server.rest, _REST, "rest"),
            "infer": ("grpc", server.grpc, _INFER, "infer"),
        }[protocol]
        return Load(kind, target, path, str(requests.folder / file), self.seconds)

    def bare(self, requests: Requests) -> list[Figure]:
        """The figures of the bare call, with tensors created in advance and in the call."""
        output = self.new("bare")
        output.mkdir()
        command = [sys.executable, "-m", "benchmarks.serving.bare"]
        command += [str(self.version), str(requests.batches), str(self.seconds), str(output)]
        with process(command, output / "log") as started:
            if started.wait():
                raise SystemExit(f"the bare call failed:\n{(output / 'log').read_text()[-3000:]}")
        shutil.copyfile(output / "answers.npy", requests.folder / "answers.npy")
        peak = float((output / "peak_mb").read_text())
        return [
            _figure(
                system=system,
                clients=1,
                found=Samples.load(output / file),
                seconds=self.seconds,
                examples=requests.examples,
                peak_mb=peak,
            )
            for system, file in {"bare call": "ready.npz", "bare call and tf.constant": "made.npz"}.items()
        ]

    def closed(self, system: str, server: Server, protocol: str, requests: Requests, clients: int) -> list[Figure]:
        """The figure for closed-loop clients: each sends its next request after a response."""
        load = replace(self.request(server, protocol, requests), clients=clients)
        found = samples(load, self.new("samples.npz"))
        return [
            _figure(
                system=system,
                clients=clients,
                found=found,
                seconds=self.seconds,
                examples=requests.examples,
                peak_mb=server.peak_mb(),
            )
        ]


def _figure(*, system: str, clients: int, found: Samples, seconds: float, examples: int, peak_mb: float) -> Figure:
    figures = summary(found, seconds, examples)
    return {"system": system, "clients": clients, **figures, "peak_mb": round(peak_mb, 1)}


def answers(server: Server, requests: Requests) -> np.ndarray:
    """A server's responses, `[requests, examples, 1]`."""
    with grpc.insecure_channel(server.grpc, [("grpc.enable_http_proxy", 0)]) as channel:
        predict = channel.unary_unary(PREDICT, response_deserializer=predict_pb2.PredictResponse.FromString)
        sent: Sequence[bytes] = pickle.loads((requests.folder / "predict").read_bytes())
        responses = [predict(request, timeout=10) for request in sent]
    found: np.ndarray = np.stack([from_proto(output) for response in responses for output in response.outputs.values()])
    return found
