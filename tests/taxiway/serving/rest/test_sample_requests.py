"""All sample requests on the server's page are answered."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from tensorflow.core.framework import graph_pb2

from taxiway.serving.model.signatures import Signature, TensorInfo
from taxiway.serving.rest.sample_requests import sample
from tests.taxiway.serving import models, server

MODELS = ("half_plus_two", "mixed", "shapes", "keras", "half_graph", "bare_graph")


@pytest.fixture(scope="module")
def running(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    folder = tmp_path_factory.mktemp("samples")
    entries = ""
    for name in MODELS:
        models.publish(saved(name), folder / name, 1)
        entries += f'config {{ name: "{name}" base_path: "{name}" model_platform: "tensorflow" }} '
    (folder / "models.config").write_text(f"model_config_list {{ {entries} }}")
    (folder / "monitoring.config").write_text("prometheus_config { enable: false }")
    options = ["--config", folder / "models.config", "--monitoring-config-file", folder / "monitoring.config"]
    with server.running(folder, *options) as found:
        for name in MODELS:
            found.wait(name, {1: "AVAILABLE"})
        yield found


def offered(page: str, model: str) -> list[str]:
    """The commands that send requests to a model."""
    section = next(each for each in page.split("<section>") if each.startswith(f"<h2>{model}</h2>"))
    commands = re.findall("<pre>(.*?)</pre>", section, re.DOTALL)
    return [line for line in html.unescape(commands[0]).splitlines() if " -d " in line]


def sent(command: str) -> requests.Response:
    """The answer to a command, without curl."""
    before, _, curl = command.rpartition(" | ")
    words = shlex.split(curl)
    body = words[2]
    if before:
        script = shlex.split(before)[2]
        body = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    return requests.post(words[3], data=body, timeout=30)


@pytest.mark.parametrize(
    ("model", "count"),
    [("half_plus_two", 4), ("mixed", 1), ("shapes", 6), ("keras", 2), ("half_graph", 6), ("bare_graph", 4)],
)
def test_the_sample_requests_on_the_page_work(running: server.Server, model: str, count: int) -> None:
    commands = offered(requests.get(running.rest, timeout=30).text, model)
    assert len(commands) == count
    for command in commands:
        answer = sent(command)
        assert answer.status_code == 200, (command, answer.text)


def test_sample_examples_have_the_features_that_the_graph_parses(running: server.Server) -> None:
    page = html.unescape(requests.get(running.rest, timeout=30).text)
    assert '# the bytes are a tf.Example: {"x": 0.5}' in page
    assert '"examples": [{"x": 0.5, "x2": 0.5}]' in page


def test_metrics_are_linked_if_they_are_enabled(running: server.Server, rest: str) -> None:
    assert "Metrics" not in requests.get(running.rest, timeout=30).text
    assert '<a href="/metrics">Metrics</a>' in requests.get(rest, timeout=30).text


def test_large_tensors_are_sent_by_a_script() -> None:
    def info(name: str, kind: str, shape: tuple[int | None, ...]) -> TensorInfo:
        return TensorInfo(name, 1, np.dtype(kind), shape)

    inputs = {"image": info("i:0", "float32", (None, 224, 224, 3)), "is_new": info("n:0", "bool", (2,))}
    sampled = sample(Signature("look", "", inputs, {}), graph_pb2.GraphDef(), is_default=False)
    assert sampled is not None and len(sampled.command("http://h/v1/models/m")) < 300
    body = eval(sampled.body)
    assert body["signature_name"] == "look"
    assert np.shape(body["inputs"]["image"]) == (2, 224, 224, 3)  # the same number of rows as the other input
    assert body["inputs"]["is_new"] == [True, True]
    lacking = Signature("halves", "", {"x": info("x:0", "float16", (None,))}, {})
    assert sample(lacking, graph_pb2.GraphDef(), is_default=True) is None
