"""The trips of the demo: those of the past, and those that are sent one by one, with their outcomes soon after."""

from __future__ import annotations

import csv
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa

from components.contract.errors import TaxiwayError
from components.data import tensor_protos
from components.data.serving_stubs import model_pb2, predict_pb2, prediction_service_pb2_grpc
from components.monitoring.labels.add import add
from components.monitoring.store import Store
from taxiway.monitoring import demo
from taxiway.prediction import signatures
from taxiway.prediction.clients import Model, connect
from taxiway.prediction.examples_file import open_examples
from taxiway.recording.request_ids import KEY

COLUMN, TIPS, FARE, RIGHT = "payment_type", "tips", "fare", "right"
"""The column that changes; the outcome of a trip, what it cost, and whether the model was right about it."""

PAST, PER_SECOND = 3000, 60
_THREADS, _WAITING, _OUTCOMES, _SECONDS = 8, 64, 2.0, 20.0
"""Requests at a time, and those that may wait; seconds between additions of outcomes, and for an answer."""

_SIGNATURE = "serving_default"

Trip = dict[str, str]


def past(folder: Path) -> Path:
    """Writes the trips that the first model learns from."""
    folder.mkdir(parents=True, exist_ok=True)
    written(folder / "data.csv", demo.trips()[:PAST])
    return folder


def written(file: Path, trips: Sequence[Trip]) -> Path:
    """Trips as a file."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, trips[0].keys())
        writer.writeheader()
        writer.writerows(trips)
    return file


def changed(trip: Trip) -> Trip:
    """The trip as a new release of the app writes it: `Credit Card` is `credit_card`."""
    return {**trip, COLUMN: trip[COLUMN].lower().replace(" ", "_")}


def is_right(probability: float, trip: Trip) -> bool:
    """Whether the model was right about a trip."""
    return (probability > 0.5) == (float(trip[TIPS] or 0) > 0.2 * float(trip[FARE] or 0))


@dataclass
class Replay:
    """Sends trips at a steady pace until it is stopped, and what became of each a little later.

    Attributes:
        address: The gRPC address of the proxy.
        model: The model's name.
        store: The model's tables.
        folder: Gets the trips as files.
        sent: How many trips were sent.
        failed: How many were not answered.
        error: The last error.
        is_changed: Whether the app writes payment types in another way by now.
    """

    address: str
    model: str
    store: Store
    folder: Path
    sent: int = 0
    failed: int = 0
    error: str = ""
    is_changed: bool = False
    _stopped: threading.Event = field(default_factory=threading.Event)
    _outcomes: list[tuple[str, float, float]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begins."""
        self._threads = [threading.Thread(target=each) for each in (self._send, self._tell)]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        for each in self._threads:
            each.join()

    def _send(self) -> None:
        waiting = threading.Semaphore(_WAITING)
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(self.address, options) as channel, ThreadPoolExecutor(_THREADS) as threads:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for number, (trip, request) in enumerate(self._requests()):
                waiting.acquire()
                asked = threads.submit(self._ask, stub, f"trip-{number:06d}", trip, request)
                asked.add_done_callback(lambda _: waiting.release())

    def _requests(self) -> Iterator[tuple[Trip, Any]]:
        """The requests, each when it is due."""
        began, trips = time.monotonic(), demo.trips()[PAST:]
        files = [written(self.folder / "before.csv", trips), written(self.folder / "after.csv", [*map(changed, trips)])]
        both = [self._encoded(each, len(trips)) for each in files]
        for number, (trip, *requests) in enumerate(zip(itertools.cycle(trips), *both, strict=False)):
            if self._stopped.wait(max(0.0, began + number / PER_SECOND - time.monotonic())):
                return
            yield trip, requests[self.is_changed]

    def _encoded(self, file: Path, count: int) -> Iterator[Any]:
        """A request for each trip of a file, again and again."""
        with closing(connect(self.address, Model(self.model), rest=False, tls=None, seconds=_SECONDS)) as client:
            signature = signatures.chosen(client.signatures(), _SIGNATURE)
        while True:
            for batch in itertools.islice(signatures.batches(signature, open_examples(file), 1), count):
                request = predict_pb2.PredictRequest(
                    model_spec=model_pb2.ModelSpec(name=self.model, signature_name=_SIGNATURE)
                )
                for name, (array, dtype) in batch.items():
                    request.inputs[name].CopyFrom(tensor_protos.to_proto(array, dtype, packed=True))
                yield request

    def _ask(self, stub: Any, name: str, trip: Trip, request: Any) -> None:
        self.sent += 1
        try:
            outputs = stub.Predict(request, timeout=_SECONDS, metadata=((KEY, name),)).outputs
        except grpc.RpcError as error:
            self.failed, self.error = self.failed + 1, str(error)
            return
        probability = float(tensor_protos.from_proto(outputs["probability"]).ravel()[0])
        self._outcomes.append((name, float(trip[TIPS] or 0), float(is_right(probability, trip))))

    def _tell(self) -> None:
        """Adds what has become known."""
        while not self._stopped.wait(_OUTCOMES):
            known, self._outcomes = self._outcomes, []
            if known:
                names, tips, right = zip(*known, strict=True)
                try:
                    add(self.store, pa.table({"request_id": names, TIPS: tips, RIGHT: right}), labels=[TIPS, RIGHT])
                except TaxiwayError as error:
                    self.error = str(error)
