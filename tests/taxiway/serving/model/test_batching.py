"""Batching does not change the answer to a request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from taxiway.serving.errors import ServingError
from taxiway.serving.model.batching import Batcher, Batching, OneByOne
from taxiway.serving.model.signatures import Signature, TensorInfo
from tests.taxiway.serving import models, server

FLOATS = TensorInfo("x:0", 1, np.dtype("float32"), (None,))
DOUBLE = Signature("double", "", {"x": FLOATS}, {"y": FLOATS})


def doubling(*shape: int | None) -> Signature:
    """A signature with a fixed shape."""
    return Signature("double", "", {"x": replace(FLOATS, shape=shape)}, {"y": FLOATS})


class Model:
    """Doubles its input after a pause, and records the sizes of its batches."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.sizes, self._seconds = list[int](), seconds

    def __call__(self, _: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.sizes.append(len(inputs["x"]))
        time.sleep(self._seconds)
        if (inputs["x"] < 0).any():
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "x is negative")
        return {"y": inputs["x"] * 2}


def answers_of(
    model: Any,
    parameters: Batching | None,
    requests: list[np.ndarray],
    pause: float = 0,
    signature: Signature = DOUBLE,
) -> list[Any]:
    """The answers or errors of requests that are sent without waiting for each other."""

    async def ask() -> list[Any]:
        with ThreadPoolExecutor(1) as threads:
            batcher = Batcher(model, threads, parameters) if parameters else OneByOne(model, threads, 100)
            tasks = []
            for request in requests:
                tasks.append(asyncio.create_task(batcher.run(signature, {"x": request})))
                await asyncio.sleep(pause)
            return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def answers_in_sequence(model: Any, parameters: Batching | None, requests: list[np.ndarray]) -> None:
    """Sends requests, each after the answer to the previous one."""

    async def ask() -> None:
        with ThreadPoolExecutor(1) as threads:
            batcher = Batcher(model, threads, parameters) if parameters else OneByOne(model, threads, 100)
            for request in requests:
                await batcher.run(DOUBLE, {"x": request})

    asyncio.run(ask())


def ones(rows: int) -> np.ndarray:
    return np.ones(rows, np.float32)


def test_requests_that_wait_for_a_busy_model_share_its_next_call() -> None:
    # Busy for long enough that all requests arrive, also on a machine with other work.
    model = Model(0.2)
    requests = [np.full(n % 3 + 1, n, np.float32) for n in range(40)]
    answers = answers_of(model, Batching(num_batch_threads=1), requests)
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], request * 2)
    assert model.sizes == [1, sum(len(request) for request in requests) - 1]


def test_a_batch_has_at_most_max_batch_size_rows() -> None:
    model = Model()
    answers_of(model, Batching(max_batch_size=4, num_batch_threads=1), [ones(1), ones(3), ones(3), ones(1), ones(4)])
    assert model.sizes == [1, 3, 4, 4]


def test_a_batch_waits_for_more_requests_until_its_timeout() -> None:
    model = Model(0)
    answers_of(model, Batching(batch_timeout_micros=200_000, num_batch_threads=1), [ones(1)] * 5, pause=0.01)
    assert model.sizes == [5]
    model, began = Model(0), time.monotonic()
    answers_of(model, Batching(3, 30_000_000, num_batch_threads=1), [ones(1)] * 3, pause=0.01)
    assert model.sizes == [3]
    assert time.monotonic() - began < 10


def test_batches_are_padded_to_the_allowed_sizes() -> None:
    model = Model()
    parameters = Batching(8, num_batch_threads=1, allowed_batch_sizes=(2, 8))
    answers = answers_of(model, parameters, [np.array([n], np.float32) for n in range(6)])
    assert [answer["y"].tolist() for answer in answers] == [[2.0 * n] for n in range(6)]
    assert model.sizes == [2, 8]


def test_a_rejected_request_does_not_affect_others_in_its_batch() -> None:
    answers = answers_of(Model(), Batching(num_batch_threads=1), [ones(1), ones(2), -ones(1), ones(3)])
    assert [len(answer["y"]) for answer in answers if isinstance(answer, dict)] == [1, 2, 3]
    assert answers[2].message == "x is negative"


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_a_failing_model_leaves_no_request_waiting(seconds: float) -> None:
    sound = Model(seconds)

    def model(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if inputs["x"][0] == 7:
            raise TypeError("a defect")
        return sound(signature, inputs)

    requests = [ones(1), ones(1), np.full(1, 7, np.float32), ones(1)]
    answers = answers_of(model, Batching(num_batch_threads=1), requests, pause=0.03)
    assert [isinstance(answer, dict) for answer in answers] == [True, True, False, True]
    assert "a defect" in str(answers[2])


def test_only_a_fast_model_is_called_in_the_event_loop() -> None:
    callers = list[bool]()

    def model(_: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        callers.append(threading.current_thread() is threading.main_thread())
        time.sleep(float(inputs["x"][0]) / 1000)
        return {"y": inputs["x"]}

    quick, slow = [np.zeros(1, np.float32)] * 40, [np.full(1, 5, np.float32)] * 2
    for parameters in (Batching(num_batch_threads=1), None):
        callers.clear()
        answers_in_sequence(model, parameters, [*quick, *slow, *quick[:1]])
        assert not callers[0]
        assert any(callers[:40])
        assert callers[41:] == [False, False]


PADDED = Batching(num_batch_threads=1, pad_variable_length_inputs=True)


def test_inputs_of_other_lengths_share_a_batch_where_they_are_padded() -> None:
    requests = [np.ones((1, size), np.float32) for size in (1, 2, 3, 1)]
    model = Model()
    answers_of(model, Batching(num_batch_threads=1), requests)
    assert model.sizes == [1, 1, 1, 1]
    model = Model()
    answers = answers_of(model, PADDED, requests, signature=doubling(None, None))
    assert model.sizes == [1, 3]
    assert [answer["y"].tolist() for answer in answers[1:]] == [[[2, 2, 0]], [[2, 2, 2]], [[2, 0, 0]]]


@pytest.mark.parametrize(
    ("signature", "parameters", "shapes", "sizes"),
    [
        # Shapes have not been compared with the signature at this point.
        (doubling(None, 1), Batching(num_batch_threads=1), [(1,), (3,), (2, 1), (3, 1), (2,), (1, 2)], [1, 5, 5, 1]),
        # Only unknown dimensions of the signature are padded, so a wrong size is not hidden by other requests.
        (doubling(None, 2), PADDED, [(1, 2), (2, 2), (1, 3), (1, 2)], [1, 3, 1]),
        (doubling(None, None), PADDED, [(1, 2), (2,), (1, 3), (3,), (1, 2)], [1, 5, 2]),
        # A signature with a fixed number of rows is not batched.
        (doubling(2), Batching(num_batch_threads=1), [(2,), (2,), (2,)], [2, 2, 2]),
        (doubling(2), Batching(8, num_batch_threads=1, allowed_batch_sizes=(4, 8)), [(2,), (2,)], [2, 2]),
    ],
)
def test_only_requests_that_fit_together_share_a_batch(
    signature: Signature, parameters: Batching, shapes: list[tuple[int, ...]], sizes: list[int]
) -> None:
    model = Model()
    requests = [np.full(shape, n, np.float32) for n, shape in enumerate(shapes)]
    answers = answers_of(model, parameters, requests, signature=signature)
    assert model.sizes == sizes
    for request, answer in zip(requests, answers, strict=True):
        trimmed = answer["y"][tuple(map(slice, request.shape))]
        np.testing.assert_array_equal(trimmed, request * 2)


def test_one_long_row_does_not_lengthen_all_others() -> None:
    model = Model()
    long = np.ones((1, 8 << 20), np.float32)
    requests = [ones(1)[None], *[ones(1)[None]] * 20, long]
    answers = answers_of(model, PADDED, requests, signature=doubling(None, None))
    assert model.sizes == [1] * 22
    assert [answer["y"].size for answer in answers] == [1] * 21 + [8 << 20]
    filled = Batching(64, num_batch_threads=1, allowed_batch_sizes=(64,))
    [answer] = answers_of(model, filled, [long], signature=doubling(None, None))
    assert (answer["y"].shape, model.sizes[-1]) == (long.shape, 1)


SPLIT = Batching(10, num_batch_threads=1, enable_large_batch_splitting=True, max_execution_batch_size=4)


def test_a_large_request_is_split_over_batches() -> None:
    model = Model()
    requests = [np.arange(n, dtype=np.float32) for n in (1, 2, 10, 3, 5)]
    answers = answers_of(model, SPLIT, requests)
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], request * 2)
    assert model.sizes == [1, 4, 4, 4, 4, 4]


def test_a_rejected_part_fails_the_whole_request() -> None:
    answers = answers_of(Model(), SPLIT, [ones(1), np.array([1, 1, 1, 1, 1, -1], np.float32), ones(7)])
    assert answers[1].message == "x is negative"
    assert [len(answers[n]["y"]) for n in (0, 2)] == [1, 7]
    assert "Task size 11 is larger" in answers_of(Model(), SPLIT, [ones(11)])[0].message
    signature = doubling(6)
    model = Model()
    answers_of(model, SPLIT, [ones(6)], signature=signature)
    assert model.sizes == [6]


def test_an_output_without_rows_cannot_be_concatenated() -> None:
    def total(_: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": inputs["x"].sum(keepdims=True)}

    [answer] = answers_of(total, SPLIT, [ones(6)])
    assert (answer.code, "does not have a row for each of the 4 rows" in answer.message) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        True,
    )


def test_requests_beyond_the_queue_limit_are_refused_immediately() -> None:
    answers = answers_of(Model(0.2), Batching(2, max_enqueued_batches=2, num_batch_threads=1), [ones(2)] * 5)
    assert [isinstance(answer, dict) for answer in answers] == [True, True, True, False, False]
    assert answers[-1].code == grpc.StatusCode.UNAVAILABLE
    assert "max_enqueued_batches is 2" in answers[-1].message


def test_requests_of_all_shapes_share_the_queue_limit() -> None:
    requests = [np.ones((1, size), np.float32) for size in range(1, 41)]
    answers = answers_of(Model(0.2), Batching(2, max_enqueued_batches=4, num_batch_threads=1), requests)
    assert [isinstance(answer, dict) for answer in answers] == [True] * 9 + [False] * 31
    assert answers[-1].code == grpc.StatusCode.UNAVAILABLE


def test_the_oldest_request_is_next_whatever_its_shape() -> None:
    order = list[int]()

    def model(_: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        order.append(inputs["x"].shape[1])
        time.sleep(0.02)
        return {"y": inputs["x"]}

    requests = [np.ones((1, size), np.float32) for size in (1, 5, 2, 5, 3, 2, 4)]
    answers_of(model, Batching(1, num_batch_threads=1), requests)
    assert order == [1, 5, 2, 5, 3, 2, 4]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": ones(5)}, "Task size 5 is larger than maximum input batch size 4"),
        ({"x": np.float32(1)}, "input tensors must have at least one dimension"),
        ({"x": ones(2), "z": ones(3)}, "must have equal 0th-dimension size, not x: 2, z: 3"),
    ],
)
def test_requests_that_cannot_be_batched_are_refused(inputs: dict[str, np.ndarray], message: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        batcher = Batcher(Model(), threads, Batching(max_batch_size=4))
        with pytest.raises(ServingError, match=message):
            asyncio.run(batcher.run(DOUBLE, inputs))


def test_an_abandoned_request_is_not_run() -> None:
    model = Model(0.1)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as threads:
            batcher = Batcher(model, threads, Batching(num_batch_threads=1))
            first = asyncio.create_task(batcher.run(DOUBLE, {"x": ones(1)}))
            await asyncio.sleep(0.02)
            second, third = (asyncio.create_task(batcher.run(DOUBLE, {"x": ones(n)})) for n in (2, 4))
            await asyncio.sleep(0.02)
            second.cancel()
            await asyncio.gather(first, third)

    asyncio.run(ask())
    assert model.sizes == [1, 4]


@pytest.fixture(scope="module")
def batching(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    folder = tmp_path_factory.mktemp("batching")
    for name in ("slow", "picky"):
        models.publish(saved(name), folder / name, 1)
    (folder / "models.config").write_text(
        "model_config_list {"
        + "".join(f' config {{ name: "{name}" base_path: "{name}" }}' for name in ("slow", "picky"))
        + "}"
    )
    (folder / "batching.txt").write_text("num_batch_threads { value: 1 } max_batch_size { value: 64 }")
    arguments = ["--config", folder / "models.config", "--batching-parameters-file", folder / "batching.txt"]
    with server.running(folder, *arguments) as running:
        for name in ("slow", "picky"):
            running.wait(name, {1: "AVAILABLE"})
        yield running


def test_a_server_batches(batching: server.Server) -> None:
    calls = [batching.predictions.Predict.future(server.request("slow", x=[[float(n)]]), timeout=60) for n in range(30)]
    answers = [call.result().outputs for call in calls]
    assert [answer["y"].float_val[0] for answer in answers] == [float(n) for n in range(30)]
    assert max(answer["rows"].int_val[0] for answer in answers) > 5


def test_one_clients_bad_row_does_not_affect_other_clients(batching: server.Server) -> None:
    failed: list[Any] = []

    def ask(x: float) -> None:
        for _ in range(20):
            try:
                if batching.predict("picky", x=[x])["y"].tolist() != [x**0.5]:
                    failed.append(x)
            except grpc.RpcError as error:
                if x >= 0 or error.code() != grpc.StatusCode.INVALID_ARGUMENT or "x is negative" not in error.details():
                    failed.append(error)

    threads = [threading.Thread(target=ask, args=[x]) for x in (4.0, 9.0, -1.0, 16.0, -4.0, 25.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
