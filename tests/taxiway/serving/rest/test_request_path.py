"""The number of modules that a simple predict request passes through."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from taxiway.network.http_server import Runner
from taxiway.serving.metrics import Metrics
from taxiway.serving.model import batching, loading
from taxiway.serving.model.loading import Loading
from taxiway.serving.model.model_config import ModelSettings
from taxiway.serving.model.verification import Verification
from taxiway.serving.model_manager import ModelManager
from taxiway.serving.rest.app import application
from tests.taxiway.serving import models

MOST_MODULES, MOST_CALLS, MOST_SWITCHES = 9, 90, 25


async def _post(folder: Path, model: str, body: Any, trace: Callable[[FrameType, str, Any], None]) -> Any:
    """The answer to a traced request, after some untraced ones."""
    how = Loading(
        verification=Verification(),
        batching=None,
        max_waiting=10,
        intra_op_parallelism=0,
        threads=loading.model_threads(None),
        metrics=Metrics(),
    )
    manager = ModelManager([ModelSettings(model, folder)], how, 0)
    loaded = asyncio.Event()
    following = asyncio.create_task(manager.follow(None, loaded.set))
    runner = Runner(application(manager.models))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await loaded.wait()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/models/{model}:predict"
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await (await session.post(url, json=body)).read()
        sys.setprofile(trace)
        answer = await session.post(url, json=body)
        answered = await answer.json()
        sys.setprofile(None)
    following.cancel()
    await manager.stop()
    await runner.cleanup()
    how.threads.shutdown()
    return answered


@pytest.mark.parametrize(
    ("name", "body", "answer"),
    [
        ("half_plus_two", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
        ("half_plus_two", {"inputs": {"x": [1.0]}, "signature_name": "serving_default"}, {"outputs": [2.5]}),
        (
            "mixed",
            {"instances": [{"number": 1.5, "word": "a"}]},
            {"predictions": [{"doubled": 3.0, "same": "a", "raw_bytes": {"b64": "YQ=="}}]},
        ),
    ],
)
def test_a_predict_passes_few_modules(
    name: str,
    body: Any,
    answer: Any,
    saved: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Even on a slow machine, the event loop calls the model directly, as it does for fast models.
    monkeypatch.setattr(batching, "_QUICK_SECONDS", 60.0)
    monkeypatch.setattr(batching, "_SLOW", 1.0)
    models.publish(saved(name), tmp_path / name, 1)
    passed: list[str] = []

    def trace(frame: FrameType, event: str, _argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith(("taxiway.", "components.")):
            passed.append(module)

    assert asyncio.run(_post(tmp_path / name, name, body, trace)) == answer
    assert "taxiway.serving.model.saved_model" in passed
    assert len(set(passed)) <= MOST_MODULES, sorted(set(passed))
    assert sum(one != other for one, other in pairwise(passed)) <= MOST_SWITCHES, passed
    assert len(passed) <= MOST_CALLS, passed
