"""Queues requests for the model, one by one or in batches, with TF Serving's parameters.

Only the event loop queues, joins and splits requests; only the model's call runs in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import grpc

from taxiway.serving.errors import ServingError
from taxiway.serving.model.batch_rows import joined, merged, padding, rows_of, split_rows
from taxiway.serving.model.signatures import Arrays, Outputs, Signature

Call = Callable[[Signature, Arrays], Outputs]

_CODE = grpc.StatusCode
_QUICK_SECONDS = 0.0004
_QUICK_BATCH_SECONDS = 0.002
"""Shorter calls run on the event loop itself. Other requests wait meanwhile, and form the next batch."""
_SLOW = 0.005
_SHARE_OF_THE_LAST = 0.1

_MOST_PADDING_BYTES = 256 << 20
"""Limit of padding in a batch; beyond it, each request runs alone. One long row makes all others as long."""


@dataclass(frozen=True)
class Batching:
    """TF Serving's batching parameters (session_bundle_config.proto), with its names and defaults.

    Attributes:
        max_batch_size: Maximum rows of a batch and of a request, even if requests are split.
        batch_timeout_micros: How long a batch that is not full waits for more requests. With 0, it runs as soon as a
            thread is free, so batches form only while all threads are busy.
        max_enqueued_batches: Maximum number of queued batches; a request that needs another is refused.
        num_batch_threads: Number of batches that run at the same time.
        allowed_batch_sizes: Batches are padded to the next of these sizes; the last is max_batch_size.
        pad_variable_length_inputs: Inputs of different sizes share a batch, padded with zeros or empty strings.
        enable_large_batch_splitting: A request that does not fit into a batch is split across several.
        max_execution_batch_size: Maximum rows of a batch if requests are split; 0 for max_batch_size.
        thread_pool_name: Prefix of the thread names.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    thread_pool_name: str = "model"

    @property
    def most_rows(self) -> int:
        """Maximum rows per call of the model."""
        return (self.enable_large_batch_splitting and self.max_execution_batch_size) or self.max_batch_size


class Runner(Protocol):
    """Runs a model's signatures."""

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature.

        Raises:
            ServingError: The model refuses the inputs; UNAVAILABLE: the queue is full.
        """


class _Pace:
    """How long a model's calls take, by signature and input size.

    A call that takes less time than waking a thread runs on the event loop.
    """

    def __init__(self, call: Call, quick_seconds: float) -> None:
        self._call, self._quick_seconds = call, quick_seconds
        self._seconds: dict[tuple[str, int], float] = {}

    def is_quick(self, signature: Signature, inputs: Arrays) -> bool:
        """Whether calls of this size have been quick."""
        return self._seconds.get(_kind(signature, inputs), _SLOW) < self._quick_seconds

    def call(self, signature: Signature, inputs: Arrays) -> Outputs:
        """Calls the model and measures the time."""
        began = time.perf_counter()
        try:
            return self._call(signature, inputs)
        finally:
            took, kind = time.perf_counter() - began, _kind(signature, inputs)
            # Rises at once and falls slowly, so that a model that is sometimes slow does not block the event loop.
            before = self._seconds.get(kind, took)
            self._seconds[kind] = max(min(took, _SLOW), before + (took - before) * _SHARE_OF_THE_LAST)


def _kind(signature: Signature, inputs: Arrays) -> tuple[str, int]:
    return signature.name, sum([array.size for array in inputs.values()]).bit_length()


class OneByOne:
    """Each request is its own call of the model, as in TF Serving without batching."""

    def __init__(self, call: Call, threads: ThreadPoolExecutor, max_waiting: int) -> None:
        self._pace, self._threads = _Pace(call, _QUICK_SECONDS), threads
        self._max_waiting, self._waiting = max_waiting, 0

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature; see `Runner`."""
        if self._waiting >= self._max_waiting:
            raise ServingError(
                _CODE.UNAVAILABLE, f"The server is busy: {self._waiting} requests are waiting for the model"
            )
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
    """Requests that may share a batch, in order of arrival.

    Attributes:
        signature: Their signature.
        key: What they have in common.
        rows: Their total number of rows.
        is_listed: Whether the queue is in the batcher's heap.
    """

    def __init__(self, signature: Signature, key: Hashable, waiting: Counter[str]) -> None:
        super().__init__()
        self.signature, self.key, self.rows, self.is_listed = signature, key, 0, False
        self._waiting = waiting

    def put(self, task: _Task) -> None:
        """Adds a request to the end."""
        self.append(task)
        self.rows += task.rows
        self._waiting[self.signature.name] += task.rows

    def pop_first(self) -> _Task:
        """Removes the oldest request."""
        task = self.popleft()
        self.rows -= task.rows
        self._waiting[self.signature.name] -= task.rows
        return task

    def drop_abandoned(self) -> None:
        """Removes the oldest requests whose client has disconnected or whose deadline has passed."""
        while self and self[0].result.done():
            self.pop_first()

    def take(self, most: int) -> list[_Task]:
        """The next batch; a request with more rows that cannot be split is a batch of its own."""
        batch, rows = list[_Task](), 0
        while self and (not batch or rows + self[0].rows <= most):
            task = self.pop_first()
            if not task.result.done():
                batch.append(task)
                rows += task.rows
        return batch


class Batcher:
    """Combines requests that arrive while the model is busy into its next call.

    If TensorFlow refuses a batch, each request runs alone, so that a bad row fails only its own request.
    """

    def __init__(self, call: Call, threads: ThreadPoolExecutor, parameters: Batching) -> None:
        self._pace, self._threads, self._parameters = _Pace(call, _QUICK_BATCH_SECONDS), threads, parameters
        self._free = parameters.num_batch_threads
        self._queues: dict[Hashable, _Queue] = {}
        self._waiting = Counter[str]()  # rows, by signature
        # A heap by the oldest request of each queue when it was added; requests in it now are not older.
        self._order: list[tuple[float, int, _Queue]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._is_starting = False

    async def run(self, signature: Signature, inputs: Arrays) -> Outputs:
        """All outputs of a signature; see `Runner`.

        Raises:
            ServingError: The inputs have different numbers of rows, or more rows than a batch may have.
        """
        rows = rows_of(inputs)
        if rows > self._parameters.max_batch_size:
            raise ServingError(
                _CODE.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {self._parameters.max_batch_size}",
            )
        key = self._key(signature, inputs)
        self._require_room(signature, rows)
        queue = self._queues.get(key) or self._queues.setdefault(key, _Queue(signature, key, self._waiting))
        sizes = self._sizes(queue, rows)
        return await (self._put(queue, inputs, rows) if len(sizes) == 1 else self._split(queue, inputs, sizes))

    async def _split(self, queue: _Queue, inputs: Arrays, sizes: Sequence[int]) -> Outputs:
        """The outputs of a request that is split across several batches."""
        ends = list(itertools.accumulate(sizes))
        parts = [
            self._put(queue, {name: array[end - size : end] for name, array in inputs.items()}, size)
            for size, end in zip(sizes, ends, strict=True)
        ]
        answers = await asyncio.gather(*parts, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return merged([answer for answer in answers if isinstance(answer, dict)], sizes)

    def _sizes(self, queue: _Queue, rows: int) -> list[int]:
        """The rows of each part of a request; the first part completes the waiting batch."""
        most = self._parameters.most_rows
        first = most - queue.rows % most
        if not self._parameters.enable_large_batch_splitting or rows <= first or not queue.signature.takes_any_rows:
            return [rows]
        full, rest = divmod(rows - first, most)
        return [first, *[most] * full, *([rest] if rest else [])]

    def _put(self, queue: _Queue, inputs: Arrays, rows: int) -> asyncio.Future[Outputs]:
        """Queues a request, or a part of one; returns a future of its outputs."""
        loop = asyncio.get_running_loop()
        task = _Task(inputs, rows, loop.create_future(), loop.time())
        queue.put(task)
        if not queue.is_listed:
            queue.is_listed = True
            heapq.heappush(self._order, (task.since, next(self._numbers), queue))
        if self._is_full(queue):
            self._start_batches()
        elif not self._is_starting:
            # After all other requests that have already arrived.
            self._is_starting = True
            loop.call_soon(self._start_soon)
        return task.result

    def _is_full(self, queue: _Queue) -> bool:
        return queue.rows >= self._parameters.most_rows

    def _key(self, signature: Signature, inputs: Arrays) -> Hashable:
        """The key of requests that may share a batch; unique if the signature has a fixed number of rows.

        The shapes come from the client and were not checked against the signature.
        """
        if not signature.takes_any_rows:
            return object()
        shapes = ((inputs[name].shape, info.shape) for name, info in signature.inputs.items())
        return signature.name, *(self._common(shape, wanted) for shape, wanted in shapes)

    def _common(self, shape: tuple[int, ...], wanted: tuple[int | None, ...] | None) -> Hashable:
        """The part of an input's shape that all requests of a batch share."""
        if not self._parameters.pad_variable_length_inputs:
            return shape[1:]
        if wanted is None:
            return len(shape)
        if len(shape) != len(wanted):
            return shape[1:]
        return tuple(None if want is None else size for size, want in zip(shape[1:], wanted[1:], strict=True))

    def _require_room(self, signature: Signature, rows: int) -> None:
        """Refuses a request that needs more batches than may be queued, so that the client can retry at once.

        Counts all queues of a signature, because clients choose the shapes and thereby the queues.
        """
        most = self._parameters.max_enqueued_batches
        if self._waiting[signature.name] + rows > most * self._parameters.most_rows:
            self._oldest()  # drops abandoned requests
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
            if inputs is not None and self._pace.is_quick(signature, inputs):
                self._answer(tasks, self._answered(signature, tasks, inputs))
                continue
            self._free -= 1
            done = asyncio.get_running_loop().run_in_executor(self._threads, self._answered, signature, tasks, inputs)
            done.add_done_callback(functools.partial(self._finish, tasks))

    def _next_batch(self) -> tuple[Signature, list[_Task]] | None:
        """The oldest batch if its timeout has passed, or else a full one; if there is neither, sets a timer."""
        while queue := self._oldest():
            wait = queue[0].since + self._parameters.batch_timeout_micros / 1e6 - asyncio.get_running_loop().time()
            if wait > 0 and not (queue := next(filter(self._is_full, self._queues.values()), None)):
                self._timer = self._timer or asyncio.get_running_loop().call_later(wait, self._wake)
                return None
            if tasks := queue.take(self._parameters.most_rows):
                return queue.signature, tasks
        return None

    def _oldest(self) -> _Queue | None:
        """The queue with the oldest request."""
        while self._order:
            since, number, queue = self._order[0]
            queue.drop_abandoned()
            if not queue:
                heapq.heappop(self._order)
                queue.is_listed = False
                del self._queues[queue.key]
            elif queue[0].since > since:
                heapq.heapreplace(self._order, (queue[0].since, number, queue))
            else:
                return queue
        return None

    def _wake(self) -> None:
        self._timer = None
        self._start_batches()

    def _joined(self, signature: Signature, tasks: Sequence[_Task]) -> Arrays | None:
        """The inputs of a batch, padded to an allowed size; None if that takes too much padding."""
        rows = size = sum(task.rows for task in tasks)
        if signature.takes_any_rows:
            size = next((size for size in self._parameters.allowed_batch_sizes if size >= rows), rows)
        arrays = {name: [task.inputs[name] for task in tasks] for name in signature.inputs}
        if sum(padding(each, size) for each in arrays.values()) > _MOST_PADDING_BYTES:
            return None
        return {name: joined(each, size - rows) for name, each in arrays.items()}

    def _answered(self, signature: Signature, tasks: list[_Task], inputs: Arrays | None) -> list[Outputs | Exception]:
        """The outputs of each task; runs in a thread, or on the event loop if the model is quick."""
        if inputs is None:
            return [self._alone(signature, task) for task in tasks]
        try:
            outputs = self._pace.call(signature, inputs)
            return list(split_rows(outputs, [task.rows for task in tasks], rows_of(inputs)))
        except ServingError as error:
            return [error] if len(tasks) == 1 else [self._alone(signature, task) for task in tasks]
        except Exception as error:  # a bug must not leave requests waiting forever
            return [error] * len(tasks)

    def _alone(self, signature: Signature, task: _Task) -> Outputs | Exception:
        [answer] = self._answered(signature, [task], self._joined(signature, [task]) or task.inputs)
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
