"""Brings versions into memory, and lets them go; in a thread, so that others are answered meanwhile."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from components.contract.errors import UserError
from taxiway.serving.errors import ServingError
from taxiway.serving.metrics import Metrics
from taxiway.serving.model import model_config, warmup
from taxiway.serving.model.batching import Batcher, Batching, OneByOne, Runner
from taxiway.serving.model.verification import Verification

if TYPE_CHECKING:
    from taxiway.serving.model.saved_model import SavedModel

TAGS = ("serve",)
"""Of the graph that is served, in nearly every SavedModel."""

_BATCHING_FILE = "batching_params.pbtxt"
"""TF Serving's name (bundle_factory_util.cc)."""

_NICE = 10
_NICEST = 19
"""Of the thread that loads, once there is a version that answers: a tenth of a core's share beside one that is busy."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How versions are loaded and run.

    Attributes:
        verification: What a version has to show before it is loaded.
        batching: None where each request is a call of its own.
        max_waiting: How many requests of a version may wait for the model where they are not batched.
        intra_op_parallelism: Threads of one operation of a model; 0 for TensorFlow's choice.
        threads: Run the models.
        metrics: Count the loads.
        tags: Which graph of a SavedModel is loaded.
        per_model_batching: Whether a version batches as its own file says, and not without one; `batching` then has
            the number of threads.
        early_labels: Whether a new label may name a version that is not available.
    """

    verification: Verification
    batching: Batching | None
    max_waiting: int
    intra_op_parallelism: int
    threads: ThreadPoolExecutor
    metrics: Metrics
    tags: tuple[str, ...] = TAGS
    per_model_batching: bool = False
    early_labels: bool = False

    def load(self, name: str, folder: Path) -> tuple[SavedModel, Batching | None]:
        """Verifies, loads and warms a version, which comes with how it batches.

        Raises:
            ServingError: It does not load; in TensorFlow's words, or those of the step before.
        """
        from taxiway.serving.model.saved_model import SavedModel

        began, status = time.perf_counter(), grpc.StatusCode.OK
        try:
            self.verification.require(folder)
            batching = self._own_batching(folder) if self.per_model_batching else self.batching
            model = SavedModel(folder, self.intra_op_parallelism, self.tags)
            try:
                asked = warmup.warm_up(model, folder)
            except BaseException:
                model.close()
                raise
        except ServingError as error:
            status = error.code
            raise
        except Exception as error:  # a defect, or a machine without memory: the last good version goes on
            status = grpc.StatusCode.UNKNOWN
            _log.exception("%s: %s", name, folder)
            raise ServingError(status, f"{type(error).__name__}: {error}") from error
        finally:
            seconds = time.perf_counter() - began
            self.metrics.load(str(folder), status.name, seconds)
        _log.info("%s: loaded %s in %.2f s, %d warm-up requests answered", name, folder.name, seconds, asked)
        for signature, reason in model.refused.items():
            _log.warning("%s: version %s: the signature %r cannot be asked: %s", name, folder.name, signature, reason)
        _freeze()
        _give_way()
        return model, batching

    def runner(self, model: SavedModel, batching: Batching | None) -> Runner:
        """What runs a version's requests."""
        if batching:
            return Batcher(model.run, self.threads, batching)
        return OneByOne(model.run, self.threads, self.max_waiting)

    def _own_batching(self, folder: Path) -> Batching | None:
        """A version's own parameters, but for the threads, which all models share; None where it has none."""
        file = folder / _BATCHING_FILE
        if not file.is_file():
            return None
        try:
            own = model_config.load_batching(file)
        except UserError as error:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        assert self.batching, "it has the threads"
        return replace(own, num_batch_threads=self.batching.num_batch_threads)


@functools.cache
def _freeze() -> None:
    """Spares collections what is there after the first load: the libraries' objects live as long as the process.

    It takes some tenths of a second, in which no version answers yet.
    """
    gc.collect()
    gc.freeze()


def _give_way() -> None:
    """Lets this thread have what the others leave: from now on there is a version whose requests come first.

    Not before: TensorFlow's own threads are started by the first load, and are as nice as the thread that starts them.
    """
    if sys.platform == "linux":  # where a thread has a priority of its own
        # The server itself may be nice already, and only root may be less so.
        others = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(others + _NICE, _NICEST))


def model_threads(batching: Batching | None) -> ThreadPoolExecutor:
    """The threads that run models: as many as batches run at a time, or twice the cores."""
    if batching:
        return ThreadPoolExecutor(batching.num_batch_threads, thread_name_prefix=batching.thread_pool_name)
    return ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="model")


def versions_in(base_path: Path) -> dict[int, Path]:
    """The folders in a base path whose names are integers, which is what TF Serving takes for versions.

    Raises:
        OSError: The base path cannot be read.
    """
    found: dict[int, Path] = {}
    with os.scandir(base_path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.isascii() and entry.name.isdigit() and len(entry.name) < 20 and entry.is_dir():
                found.setdefault(int(entry.name), Path(entry.path))
    return {number: path for number, path in found.items() if number < 1 << 63}


def fingerprint(folder: Path) -> frozenset[tuple[str, int, int]]:
    """What tells whether anything in a folder has changed: names, sizes and times of its files."""
    found = set()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                stat = path.stat()
            except OSError:
                continue
            found.add((str(path), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
