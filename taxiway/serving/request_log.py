"""Request logs: sampled requests and responses, as TFRecords of PredictionLog (TF Serving's LoggingConfig).

Each record is a single write to an append-only file, so a killed process leaves whole records.
"""

from __future__ import annotations

import io
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tensorflow_serving.apis import prediction_log_pb2

from components.data import tfrecord
from taxiway.serving.metrics import Metrics
from taxiway.serving.model.model_config import Logging

MAX_FILE_BYTES = 64 << 20
"""The next file is started at this size."""

_MOST_WAITING = 1000

_log = logging.getLogger(__name__)


class RequestLog:
    """A model's log. A thread writes it; records that the disk cannot keep up with are dropped and counted."""

    def __init__(self, model: str, settings: Logging, metrics: Metrics) -> None:
        self._model, self._settings, self._metrics = model, settings, metrics
        self._waiting: queue.Queue[Callable[[], prediction_log_pb2.PredictionLog] | None] = queue.Queue(_MOST_WAITING)
        self._file = -1
        self._size = self._number = 0
        self._began = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self._thread = threading.Thread(target=self._write_all, name=f"request log of {model}", daemon=True)
        self._thread.start()

    def is_sampled(self) -> bool:
        """Whether to log this request."""
        return random.random() < self._settings.rate

    def put(self, build: Callable[[], prediction_log_pb2.PredictionLog]) -> None:
        """Logs a request; never blocks.

        Args:
            build: Builds the record, in the log's thread.
        """
        try:
            self._waiting.put_nowait(build)
        except queue.Full:
            self._metrics.logged(self._model, "RESOURCE_EXHAUSTED")

    def close(self) -> None:
        """Writes the queued records and ends the thread."""
        self._waiting.put(None)
        self._thread.join()
        if self._file >= 0:
            os.close(self._file)

    def _write_all(self) -> None:
        while build := self._waiting.get():
            try:
                self._write(build())
                self._metrics.logged(self._model, "OK")
            except OSError as error:
                self._metrics.logged(self._model, "UNAVAILABLE")
                _log.warning("%s: a request was not logged: %s", self._model, error)

    def _write(self, record: prediction_log_pb2.PredictionLog) -> None:
        framed = io.BytesIO()
        # Equal requests give equal records.
        tfrecord.write_records(framed, [record.SerializeToString(deterministic=True)])
        data = framed.getvalue()
        if self._file < 0 or self._size + len(data) > MAX_FILE_BYTES:
            self._open_next()
        written = os.write(self._file, data)
        if written < len(data):  # the disk is full: remove the partial record
            os.ftruncate(self._file, self._size)
            raise OSError("the disk is full")
        self._size += written

    def _open_next(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size
        self._number += 1

    def _path(self) -> Path:
        prefix = self._settings.prefix
        return prefix.with_name(f"{prefix.name}-{self._began}-{os.getpid()}-{self._number:05d}.tfrecord")
