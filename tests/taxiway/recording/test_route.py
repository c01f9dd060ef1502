"""`taxiway route` with inference tables: a proxy that knows no model, in front of real servers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable

from components.data.serving_stubs import example_pb2, predict_pb2, types_pb2
from components.data.tensor_protos import to_proto
from tests.taxiway.routing.conftest import Proxy, Route, http, predict_body, predict_request, settings
from tests.taxiway.small_servers import Running, running, small_server

PATH = "/v1/models/taxi"


def stopped(proxy: Proxy, folder: Path) -> pd.DataFrame:
    """The rows of the model, after a graceful stop of the proxy."""
    proxy.running.process.terminate()
    assert proxy.running.process.wait(20) == 0
    return DeltaTable(str(folder / "taxi" / "inference")).to_pandas().sort_values("time", ignore_index=True)


def test_grpc_and_rest_are_recorded_with_target_and_version(route: Route, blue: Running, tmp_path: Path) -> None:
    given = {**settings(blue, {"stable": 1, "canary": 0}), "inference": {"tables": str(tmp_path / "t"), "share": 1.0}}
    proxy = route(given)
    with proxy.service() as service:
        answer, call = service.Predict.with_call(
            predict_request("blue", 2.5), timeout=10, metadata=[("x-request-id", "one")]
        )
        assert dict(call.trailing_metadata())["x-request-id"] == "one"
        assert answer.model_spec.version.value == 1
        _, call = service.Predict.with_call(predict_request("red", 3.5), timeout=10)
        assert len(dict(call.trailing_metadata())["x-request-id"]) == 32
        with pytest.raises(grpc.RpcError) as refused:
            service.Predict(predict_request("green", -1.0), timeout=10, metadata=[("x-request-id", "bad")])
        assert dict(refused.value.trailing_metadata())["x-request-id"] == "bad"
    status, headers, _ = http(f"{proxy.rest}{PATH}:predict", predict_body("grey", 4.5), **{"X-Request-Id": "two"})
    assert (status, headers["x-request-id"]) == (200, "two")
    status, headers, _ = http(f"{proxy.rest}{PATH}/versions/1:predict", predict_body("grey", 5.5))
    assert status == 200 and len(headers["x-request-id"]) == 32
    status, headers, _ = http(f"{proxy.rest}{PATH}:predict", predict_body("grey", -1.0), **{"x-request-id": "worse"})
    assert (status, headers["x-request-id"]) == (400, "worse")
    rows = stopped(proxy, tmp_path / "t")
    assert rows["input_company"].tolist() == ["blue", "red", "green", "grey", "grey", "grey"]
    assert rows["input_fare"].tolist() == [2.5, 3.5, -1, 4.5, 5.5, -1]
    assert rows["input_trips"].tolist() == [2] * 6
    assert rows["output_cost"].tolist()[:2] == [5.0, 7.0] and rows["output_cost"].tolist()[3:5] == [9.0, 11.0]
    assert rows["output_named"].tolist() == ["<blue>", "<red>", None, "<grey>", "<grey>", None]
    assert rows["status"].tolist() == ["OK", "OK", "INVALID_ARGUMENT", "OK", "OK", "INVALID_ARGUMENT"]
    assert rows["error"][2] == "fare is negative" and "fare is negative" in rows["error"][5]
    assert rows["target"].tolist() == ["stable", "stable", "stable", "stable", None, "stable"]
    assert rows["label"].tolist() == ["stable", "stable", "stable", "stable", None, "stable"]
    assert rows["version"].tolist()[:2] == [1, 1] and rows["version"][4] == 1
    assert np.isnan(rows["version"][5])
    assert rows["request_id"].tolist()[0] == "one" and rows["request_id"][2] == "bad"
    assert rows["protocol"].tolist() == ["GRPC"] * 3 + ["REST"] * 3


@pytest.mark.slow
def test_rest_requests_have_the_version_that_the_backend_names(route: Route, blue: Running, tmp_path: Path) -> None:
    given = {**settings(blue, {"stable": 1}), "inference": {"tables": str(tmp_path / "t"), "share": 1.0}}
    proxy = route(given)
    asked = [f"{PATH}:predict", f"{PATH}/labels/canary:predict", f"{PATH}/versions/1:predict", f"{PATH}:predict"]
    for path in asked:
        for _ in range(2):
            http(f"{proxy.rest}{path}", predict_body())
            time.sleep(1.2)
    rows = stopped(proxy, tmp_path / "t")
    assert rows["version"].tolist()[3:] == [2, 1, 1, 1, 1]
    assert rows["version"].tolist()[1] == 1


def test_tf_examples_are_parsed_without_a_model(route: Route, blue: Running, tmp_path: Path) -> None:
    given = {**settings(blue, {"stable": 1}), "inference": {"tables": str(tmp_path / "t"), "share": 1.0}}
    proxy = route(given)
    example = example_pb2.Example()
    example.features.feature["fare"].float_list.value.append(1.5)
    example.features.feature["tags"].bytes_list.value.extend([b"a", b"b"])
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "taxi", "examples"
    values = np.array([example.SerializeToString()] * 2, object)
    request.inputs["examples"].CopyFrom(to_proto(values, types_pb2.DT_STRING))
    with proxy.service() as service:
        service.Predict(request, timeout=10)
    rows = stopped(proxy, tmp_path / "t")
    assert rows["input_fare"].tolist() == [1.5, 1.5] and rows["row"].tolist() == [0, 1]
    assert [list(tags) for tags in rows["input_tags"]] == [["a", "b"]] * 2
    assert "input_examples" not in rows


def test_options_switch_recording_on(tmp_path: Path) -> None:
    with small_server(tmp_path / "server") as server:
        options = ["--model", "taxi", "--backend", server.grpc, "--rest-backend", server.addresses[1]]
        options += ["--split", "stable=1", "--listen-port", 0]
        options += ["--rest-port", 0, "--admin-port", 0, "--inference-tables", tmp_path / "t", "--inference-share", 1]
        with running(tmp_path / "proxy", "taxiway", "route", *options) as started:
            proxy = Proxy(started, tmp_path)
            with proxy.service() as service:
                for _ in range(5):
                    service.Predict(predict_request(), timeout=10)
            assert "taxiway_inference_dropped" in http(f"{proxy.rest}/metrics")[2]
            assert len(stopped(proxy, tmp_path / "t")) == 5


def test_a_hostile_share_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "taxiway", "route", "--model", "m", "--backend", "127.0.0.1:1", "--split", "a=1"]
    done = subprocess.run([*command, "--inference-share", "2"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--inference-share is 2\n  fix: use a number above 0, up to 1" in done.stderr


def test_a_proxy_that_records_nothing_loads_no_arrow() -> None:
    code = (
        "import sys, taxiway.cli, taxiway.routing.proxy; print({'pyarrow', 'deltalake', 'tensorflow'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
