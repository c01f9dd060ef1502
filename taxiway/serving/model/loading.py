"""Loads versions in a low-priority thread, so that the others keep answering."""

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
"""The default tags of the graph to serve."""

_BATCHING_FILE = "batching_params.pbtxt"
"""TF Serving's file name (bundle_factory_util.cc)."""

_NICE = 10
_NICEST = 19
"""The nice value of the loading thread after the first load: it gets a tenth of a core next to a busy thread."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How versions are loaded and run.

    Attributes:
        verification: What is checked before a version is loaded.
        batching: None if each request is its own call of the model.
        max_waiting: Queue limit of a version without batching.
        intra_op_parallelism: Threads per operation; 0 lets TensorFlow choose.
        threads: The threads that run the models.
        metrics: The server's metrics.
        tags: The tags of the SavedModel graph to load.
        per_model_batching: Whether each version has its own batching parameters file, and does not batch without
            one; only the number of threads is taken from `batching`.
        early_labels: Whether a new label may point to an unavailable version.
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
        """Verifies, loads and warms up a version; returns it with its batching parameters.

        Raises:
            ServingError: A step failed; with TensorFlow's message if that was the load.
        """
        from taxiway.serving.model.saved_model import SavedModel

        began, status = time.perf_counter(), grpc.StatusCode.OK
        try:
            self.verification.require(folder)
            batching = self._own_batching(folder) if self.per_model_batching else self.batching
            model = SavedModel(folder, self.intra_op_parallelism, self.tags)
            try:
                warmed = warmup.warm_up(model, folder)
            except BaseException:
                model.close()
                raise
        except ServingError as error:
            status = error.code
            raise
        except Exception as error:  # a bug or out of memory: the last good version keeps answering
            status = grpc.StatusCode.UNKNOWN
            _log.exception("%s: %s", name, folder)
            raise ServingError(status, f"{type(error).__name__}: {error}") from error
        finally:
            seconds = time.perf_counter() - began
            self.metrics.load(str(folder), status.name, seconds)
        _log.info("%s: loaded %s in %.2f s, ran %d warm-up requests", name, folder.name, seconds, warmed)
        for signature, reason in model.refused.items():
            _log.warning("%s: version %s: the signature %r cannot be called: %s", name, folder.name, signature, reason)
        _freeze()
        _give_way()
        return model, batching

    def runner(self, model: SavedModel, batching: Batching | None) -> Runner:
        """The runner of a version's requests."""
        if batching:
            return Batcher(model.run, self.threads, batching)
        return OneByOne(model.run, self.threads, self.max_waiting)

    def _own_batching(self, folder: Path) -> Batching | None:
        """A version's own parameters, except for the threads, which all models share; None if it has no file."""
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
    """Exempts all objects of the first load from garbage collection: the libraries' objects are never freed.

    Takes some tenths of a second, before any version is served.
    """
    gc.collect()
    gc.freeze()


def _give_way() -> None:
    """Lowers the priority of this thread below that of requests.

    Only after the first load: it starts TensorFlow's own threads, which inherit this thread's priority.
    """
    if sys.platform == "linux":  # the only system where threads have their own priority
        # Relative to the process: only root may raise a priority.
        others = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(others + _NICE, _NICEST))


def model_threads(batching: Batching | None) -> ThreadPoolExecutor:
    """The threads that run models: `num_batch_threads`, or without batching twice the number of cores."""
    if batching:
        return ThreadPoolExecutor(batching.num_batch_threads, thread_name_prefix=batching.thread_pool_name)
    return ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="model")


def versions_in(base_path: Path) -> dict[int, Path]:
    """The versions in a base path: folders whose names are integers, as in TF Serving.

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
    """Names, sizes and modification times of a folder's files, which change when any of them does."""
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
