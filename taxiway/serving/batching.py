"""How requests reach the model: one by one, or several in a batch, with TF Serving's parameters.

Requests are waited for, put together and taken apart by the event loop alone; only the model's call is in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import numpy as np

from taxiway.serving.errors import ServingError
from taxiway.serving.signatures import Arrays, Signature

Outputs = dict[str, np.ndarray]
Call = Callable[[Signature, Arrays], Outputs]

_CODE = grpc.StatusCode
_QUICK_SECONDS = 0.0004
_QUICK_BATCH_SECONDS = 0.002
"""Calls that the event loop makes itself. Others wait meanwhile, and share the next call where there are batches."""
_SLOW = 0.005
_SHARE_OF_THE_LAST = 0.1


@dataclass(frozen=True)
class Batching:
    """TF Serving's batching parameters, of the same names (session_bundle_config.proto), and its defaults.

    Attributes:
        max_batch_size: The most rows in a batch; a request with more is refused.
        batch_timeout_micros: How long a batch that is not full waits for more. With 0 it leaves as soon as a thread
            is free, so that batches form only while the threads are busy.
        max_enqueued_batches: How many batches may wait for a thread; a request that needs another is refused.
        num_batch_threads: How many batches run at a time.
        allowed_batch_sizes: Batches are filled up to the next of these sizes; the last is max_batch_size.
        pad_variable_length_inputs: Inputs of different sizes go into one batch, filled up with zeros or empty texts.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False


class Runner(Protocol):
    """Runs a model's signatures."""

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature.

        Raises:
            ServingError: The model refuses the inputs; UNAVAILABLE where too much waits already.
        """


class _Pace:
    """How long a model's calls take, by signature and the size of the inputs.

    One that is over before a thread would have been woken is best called by the event loop itself.
    """

    def __init__(self, call: Call, quick_seconds: float) -> None:
        self._call, self._quick_seconds = call, quick_seconds
        self._seconds: dict[tuple[str, int], float] = {}

    def is_quick(self, signature: Signature, inputs: Arrays) -> bool:
        """Whether calls of this size have been quick so far."""
        return self._seconds.get(_kind(signature, inputs), _SLOW) < self._quick_seconds

    def call(self, signature: Signature, inputs: Arrays) -> Outputs:
        """Calls the model, and takes the time."""
        began = time.perf_counter()
        try:
            return self._call(signature, inputs)
        finally:
            took, kind = time.perf_counter() - began, _kind(signature, inputs)
            # It rises at once and falls slowly: a model that is slow now and then is not called by the event loop.
            before = self._seconds.get(kind, took)
            self._seconds[kind] = max(min(took, _SLOW), before + (took - before) * _SHARE_OF_THE_LAST)


def _kind(signature: Signature, inputs: Arrays) -> tuple[str, int]:
    return signature.name, sum(array.size for array in inputs.values()).bit_length()


class OneByOne:
    """Each request is a call of the model, as in TF Serving without batching."""

    def __init__(self, call: Call, threads: ThreadPoolExecutor, max_waiting: int) -> None:
        self._pace, self._threads = _Pace(call, _QUICK_SECONDS), threads
        self._max_waiting, self._waiting = max_waiting, 0

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature; see `Runner`."""
        if self._waiting >= self._max_waiting:
            raise ServingError(_CODE.UNAVAILABLE, f"The server is busy: {self._waiting} requests wait for the model")
        if not self._waiting and self._pace.is_quick(signature, inputs):
            return self._pace.call(signature, inputs)
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, self._pace.call, signature, inputs)
        done.add_done_callback(self._count_down)
        return await done

    def _count_down(self, done: asyncio.Future[Outputs]) -> None:
        self._waiting -= 1


@dataclass(eq=False)
class _Task:
    inputs: Arrays
    rows: int
    result: asyncio.Future[Outputs]
    since: float


class _Queue(deque[_Task]):
    """Requests that may share a batch, in the order in which they came."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.signature, self.rows = signature, 0

    def put(self, task: _Task) -> None:
        """Adds a request at the end."""
        self.append(task)
        self.rows += task.rows

    def pop_first(self) -> _Task:
        """Takes the request that has waited longest."""
        task = self.popleft()
        self.rows -= task.rows
        return task

    def drop_abandoned(self) -> None:
        """Forgets requests whose client has gone, or whose time is over."""
        while self and self[0].result.done():
            self.pop_first()

    def take(self, most: int) -> list[_Task]:
        """The next batch."""
        batch, rows = list[_Task](), 0
        while self and rows + self[0].rows <= most:
            task = self.pop_first()
            if not task.result.done():
                batch.append(task)
                rows += task.rows
        return batch


class Batcher:
    """Requests that come while the model is busy share its next call.

    Where TensorFlow refuses a batch, each of its requests is run alone: one client's bad row is no other's error.
    """

    def __init__(self, call: Call, threads: ThreadPoolExecutor, parameters: Batching) -> None:
        self._pace, self._threads, self._parameters = _Pace(call, _QUICK_BATCH_SECONDS), threads, parameters
        self._free = parameters.num_batch_threads
        self._queues: dict[Hashable, _Queue] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_starting = False

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature; see `Runner`.

        Raises:
            ServingError: The inputs have no common number of rows, or more rows than a batch may have.
        """
        rows = _rows(inputs)
        if rows > self._parameters.max_batch_size:
            raise ServingError(
                _CODE.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {self._parameters.max_batch_size}",
            )
        key = self._key(signature, inputs)
        queue = self._queues.get(key) or self._queues.setdefault(key, _Queue(signature))
        self._require_room(queue, rows)
        loop = asyncio.get_running_loop()
        task = _Task(inputs, rows, loop.create_future(), loop.time())
        queue.put(task)
        if queue.rows >= self._parameters.max_batch_size:
            self._start_batches()
        elif not self._is_starting:
            # After whatever else has come in at this moment.
            self._is_starting = True
            loop.call_soon(self._start_soon)
        return await task.result

    def _key(self, signature: Signature, inputs: Arrays) -> Hashable:
        if self._parameters.pad_variable_length_inputs:
            return signature.name, *(array.ndim for array in inputs.values())
        return signature.name, *(inputs[name].shape[1:] for name in signature.inputs)

    def _require_room(self, queue: _Queue, rows: int) -> None:
        """Refuses what would need more batches than may wait: the client learns at once to come again."""
        most = self._parameters.max_enqueued_batches
        # All of them may be rows of one request each: few sums, for there are few requests to a full batch.
        if len(queue) < most and self._free:
            return
        if queue.rows + rows > most * self._parameters.max_batch_size:
            queue.drop_abandoned()
            raise ServingError(
                _CODE.UNAVAILABLE,
                f"The batch scheduling queue to which this task was submitted is full; max_enqueued_batches is {most}",
            )

    def _start_soon(self) -> None:
        self._is_starting = False
        self._start_batches()

    def _start_batches(self) -> None:
        while self._free and (batch := self._next_batch()):
            signature, tasks = batch
            inputs = self._joined(signature, tasks)
            if self._pace.is_quick(signature, inputs):
                self._answer(tasks, self._answered(signature, tasks, inputs))
                continue
            self._free -= 1
            done = asyncio.get_running_loop().run_in_executor(self._threads, self._answered, signature, tasks, inputs)
            done.add_done_callback(functools.partial(self._finish, tasks))

    def _next_batch(self) -> tuple[Signature, list[_Task]] | None:
        """The batch that has waited longest of those that may leave; where one may leave later, a timer is set."""
        for key, queue in list(self._queues.items()):
            queue.drop_abandoned()
            if not queue:
                del self._queues[key]
        for queue in sorted(self._queues.values(), key=lambda queue: queue[0].since):
            wait = queue[0].since + self._parameters.batch_timeout_micros / 1e6 - asyncio.get_running_loop().time()
            if wait <= 0 or queue.rows >= self._parameters.max_batch_size:
                if tasks := queue.take(self._parameters.max_batch_size):
                    return queue.signature, tasks
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(wait, self._wake)
        return None

    def _wake(self) -> None:
        self._timer = None
        self._start_batches()

    def _joined(self, signature: Signature, tasks: Sequence[_Task]) -> Arrays:
        """The inputs of a batch, filled up to a size that is allowed."""
        rows = sum(task.rows for task in tasks)
        size = next((size for size in self._parameters.allowed_batch_sizes if size >= rows), rows)
        return {name: _joined([task.inputs[name] for task in tasks], size - rows) for name in signature.inputs}

    def _answered(self, signature: Signature, tasks: list[_Task], inputs: Arrays) -> list[Outputs | Exception]:
        """The outputs for each task; in a thread, or by the event loop where the model is quick."""
        try:
            return _apart(self._pace.call(signature, inputs), tasks, _rows(inputs))
        except ServingError as error:
            return [error] if len(tasks) == 1 else [self._alone(signature, task) for task in tasks]
        except Exception as error:  # a defect: nobody may wait for ever because of it
            return [error] * len(tasks)

    def _alone(self, signature: Signature, task: _Task) -> Outputs | Exception:
        [answer] = self._answered(signature, [task], self._joined(signature, [task]))
        return answer

    def _finish(self, tasks: list[_Task], finished: asyncio.Future[list[Outputs | Exception]]) -> None:
        self._free += 1
        self._answer(tasks, finished.result())
        self._start_batches()

    def _answer(self, tasks: list[_Task], answers: Sequence[Outputs | BaseException]) -> None:
        for task, answer in zip(tasks, answers, strict=True):
            if task.result.done():
                continue
            if isinstance(answer, BaseException):
                task.result.set_exception(answer)
            else:
                task.result.set_result(answer)


def _apart(outputs: Outputs, tasks: Sequence[_Task], rows: int) -> list[Outputs | Exception]:
    """The rows of each task.

    Raises:
        ServingError: FAILED_PRECONDITION: an output has not a row for each of the batch's.
    """
    if len(tasks) == 1 and tasks[0].rows == rows:
        return [outputs]
    for name, array in outputs.items():
        if not array.ndim or len(array) != rows:
            raise ServingError(
                _CODE.FAILED_PRECONDITION, f'The output "{name}" has not a row for each of {rows} rows of the batch'
            )
    ends = itertools.accumulate(task.rows for task in tasks)
    return [
        {name: array[end - task.rows : end] for name, array in outputs.items()}
        for task, end in zip(tasks, ends, strict=True)
    ]


def _rows(inputs: Arrays) -> int:
    sizes = {array.shape[0] if array.ndim else None for array in inputs.values()}
    if None in sizes:
        raise ServingError(
            _CODE.INVALID_ARGUMENT, "Batching session Run() input tensors must have at least one dimension"
        )
    if len(sizes) > 1:
        shown = ", ".join(f"{name}: {len(array)}" for name, array in inputs.items())
        raise ServingError(
            _CODE.INVALID_ARGUMENT,
            f"Batching session Run() input tensors must have equal 0th-dimension size, not {shown}",
        )
    return int(sizes.pop() or 0) if sizes else 0


def _joined(arrays: list[np.ndarray], missing: int) -> Any:
    """The arrays one after the other, padded to the longest; the first row again for each one that is missing."""
    if len(arrays) == 1 and not missing:
        return arrays[0]
    shape = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    padded = [_padded(array, shape) for array in arrays]
    filler = [np.repeat(padded[0][:1], missing, axis=0)] if missing else []
    return np.concatenate([*padded, *filler])


def _padded(array: np.ndarray, shape: list[int]) -> Any:
    if list(array.shape[1:]) == shape:
        return array
    empty: Any = b"" if array.dtype == object else 0
    margins = [(0, 0), *((0, size - have) for size, have in zip(shape, array.shape[1:], strict=True))]
    return np.pad(array, margins, constant_values=empty)
