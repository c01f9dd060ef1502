"""`taxiway serve --inference-tables`: real servers, clients and tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
import tensorflow as tf
from deltalake import DeltaTable
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]


def recorded(folder: Path, model: str) -> pd.DataFrame:
    """The rows of a model, sorted by time, without columns that are null."""
    table = DeltaTable(str(folder / "tables" / model / "inference")).to_pandas()
    return table.sort_values(["time", "row"], ignore_index=True)


def serving(folder: Path, saved: Saved, *names: str, share: float = 1.0, tables: Path | None = None) -> Any:
    config = []
    for name in names:
        models.publish(saved(name), folder / name, 3)
        label = 'version_labels { key: "stable" value: 3 }'
        config.append(f'config {{ name: "{name}" base_path: "{name}" model_platform: "tensorflow" {label} }}')
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(config)} }}")
    options = ["--inference-tables", str(tables or folder / "tables"), "--inference-share", str(share)]
    return server.running(folder, "--config", folder / "models.config", *options)


def example(**features: float) -> Any:
    found = tf.train.Example()
    for name, value in features.items():
        found.features.feature[name].float_list.value.append(value)
    return found


def test_every_api_is_recorded(saved: Saved, tmp_path: Path) -> None:
    with serving(tmp_path, saved, "half_plus_two") as running:
        running.wait("half_plus_two", {3: "AVAILABLE"})
        url = f"{running.rest}/v1/models/half_plus_two"
        running.predict("half_plus_two", x=[1.0, 2.0])
        requests.post(f"{url}/labels/stable:predict", json={"instances": [4.0]}, timeout=20)
        for message, signature, call in (
            (classification_pb2.ClassificationRequest(), "labelled", running.predictions.Classify),
            (regression_pb2.RegressionRequest(), "regress_x_to_y", running.predictions.Regress),
        ):
            message.model_spec.name, message.model_spec.signature_name = "half_plus_two", signature
            message.input.example_list.examples.extend([example(x=8.0), example(x=16.0)])
            call(message, timeout=20)
        both = inference_pb2.MultiInferenceRequest()
        for kind, signature in (("classify", "classify_x_to_y"), ("regress", "regress_x_to_y")):
            task = both.tasks.add(method_name=f"tensorflow/serving/{kind}")
            task.model_spec.name, task.model_spec.signature_name = "half_plus_two", signature
        both.input.example_list.examples.append(example(x=32.0))
        running.predictions.MultiInference(both, timeout=20)
        body = {"signature_name": "labelled", "examples": [{"x": 64.0}]}
        requests.post(f"{url}:classify", json=body, timeout=20)
        body = {"signature_name": "regress_x_to_y", "examples": [{"x": 128.0}]}
        requests.post(f"{url}:regress", json=body, timeout=20)
        assert running.stop() == 0
    rows = recorded(tmp_path, "half_plus_two")
    apis = ["Predict"] * 3 + ["Classify"] * 2 + ["Regress"] * 2 + ["MultiInference", "Classify", "Regress"]
    assert rows["api"].tolist() == apis
    assert rows["protocol"].tolist() == ["GRPC", "GRPC", "REST", *["GRPC"] * 5, "REST", "REST"]
    assert rows["row"].tolist() == [0, 1, 0, 0, 1, 0, 1, 0, 0, 0]
    assert rows["input_x"].tolist() == [1, 2, 4, 8, 16, 8, 16, 32, 64, 128]
    assert rows["output_y"].tolist()[:3] == [2.5, 3.0, 4.0]
    assert [list(scores) for scores in rows["output_scores"][3:5]] == [[8.0, -8.0], [16.0, -16.0]]
    assert list(rows["output_classes"][3]) == ["up", "down"]
    assert rows["output_outputs"].tolist()[5:7] == [6.0, 10.0]
    assert rows["output_classify_x_to_y_scores"][7] == rows["output_regress_x_to_y_outputs"][7] == 18.0
    assert set(rows["model"]) == {"half_plus_two"} and set(rows["version"]) == {3} and set(rows["status"]) == {"OK"}
    assert set(rows["share"]) == {1.0} and (rows["latency_ms"] > 0).all()
    assert rows["label"].tolist() == [None, None, "stable", *[None] * 7]
    assert rows["request_id"].nunique() == 7 and rows["error"].isna().all() and rows["target"].isna().all()


def test_tensors_of_all_types_have_the_values_that_were_sent(saved: Saved, tmp_path: Path) -> None:
    kinds = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool"]
    kinds += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    with serving(tmp_path, saved, "types") as running:
        running.wait("types", {3: "AVAILABLE"})
        values = {kind: tf.cast(tf.constant([[1, 0], [3, 2]]), kind).numpy() for kind in kinds}
        values["uint64"][0, 0] = 2**64 - 1
        running.predict("types", string=np.array([[b"a", b"b"], [b"\xff", b""]], object), **values)
        running.stop()
    rows = recorded(tmp_path, "types")
    assert len(rows) == 2
    for prefix, end in (("input_", ""), ("output_", "_back")):
        for kind, sent in values.items():
            flat = sent.view("float32" if kind == "complex64" else "float64") if "complex" in kind else sent
            assert [list(value) for value in rows[f"{prefix}{kind}{end}"]] == flat.tolist(), kind
        assert [list(value) for value in rows[f"{prefix}string{end}"]] == [[b"a", b"b"], [b"\xff", b""]]


def test_a_request_that_is_not_recorded_gets_its_id_back_only_if_it_sent_one(saved: Saved, tmp_path: Path) -> None:
    with serving(tmp_path, saved, "half_plus_two", share=1e-9) as running:
        running.wait("half_plus_two", {3: "AVAILABLE"})
        url, found = f"{running.rest}/v1/models/half_plus_two:predict", []
        for sent in ({}, {"x-request-id": "mine"}):
            request = server.request("half_plus_two", x=[4.0])
            _, call = running.predictions.Predict.with_call(request, timeout=20, metadata=list(sent.items()))
            answer = requests.post(url, json={"instances": [4.0]}, headers=sent, timeout=20)
            found += [dict(call.trailing_metadata()).get("x-request-id"), answer.headers.get("x-request-id")]
    assert found == [None, None, "mine", "mine"]


def test_requests_whose_clients_left_are_recorded_as_cancelled(saved: Saved, tmp_path: Path) -> None:
    with serving(tmp_path, saved, "slow") as running:
        running.wait("slow", {3: "AVAILABLE"})
        sent = server.request("slow", x=[[1.0]])
        # The model is busy with the first ones meanwhile.
        busy = [running.predictions.Predict.future(sent, timeout=60) for _ in range(8)]
        left = running.predictions.Predict.future(sent, metadata=[("x-request-id", "left-1")])
        time.sleep(0.05)
        left.cancel()
        url, named = f"{running.rest}/v1/models/slow:predict", {"x-request-id": "left-2"}
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, json={"inputs": [[1.0]]}, headers=named, timeout=0.1)
        assert {call.code() for call in busy} == {grpc.StatusCode.OK}
        running.stop()
    rows = recorded(tmp_path, "slow").set_index("request_id")
    for name, protocol in (("left-1", "GRPC"), ("left-2", "REST")):
        found = rows.loc[name, ["protocol", "status", "error", "version"]].tolist()
        assert found == [protocol, "CANCELLED", None, 3] and np.isnan(rows["output_y"][name])


def test_kill_9_of_a_server_keeps_what_was_written_and_the_next_one_goes_on(saved: Saved, tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(folder, saved, "half_plus_two", tables=tmp_path / "tables") as running:
            running.wait("half_plus_two", {3: "AVAILABLE"})
            running.predict("half_plus_two", x=[float(number)] * 50_000)  # so many rows are written at once
            deadline = time.monotonic() + 60
            while written(tmp_path, "half_plus_two") < number:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            running.predict("half_plus_two", x=[-1.0])
            running.process.kill()
            running.process.wait()
    rows = recorded(tmp_path, "half_plus_two")
    assert rows["input_x"].tolist() == [1.0] * 50_000 + [2.0] * 50_000


def written(folder: Path, model: str) -> int:
    """The number of writes."""
    return len([*(folder / "tables" / model / "inference" / "_delta_log").glob("*.json")][1:])


def test_request_ids_come_from_the_client_or_are_new(saved: Saved, tmp_path: Path) -> None:
    with serving(tmp_path, saved, "picky") as running:
        running.wait("picky", {3: "AVAILABLE"})
        url = f"{running.rest}/v1/models/picky:predict"
        given = {}
        for sent in ("mine-1", "x" * 200, "a b", ""):
            _, call = running.predictions.Predict.with_call(
                server.request("picky", x=[4.0]), timeout=20, metadata=[("x-request-id", sent)]
            )
            answer = requests.post(url, json={"instances": [4.0]}, headers={"X-Request-Id": sent}, timeout=20)
            given[sent] = [dict(call.trailing_metadata())["x-request-id"], answer.headers["x-request-id"]]
        with pytest.raises(grpc.RpcError) as refused:
            running.predictions.Predict(
                server.request("picky", x=[-4.0]), timeout=20, metadata=[("x-request-id", "bad-1")]
            )
        assert dict(refused.value.trailing_metadata())["x-request-id"] == "bad-1"
        failed = requests.post(url, json={"instances": [-4.0]}, headers={"x-request-id": "bad-2"}, timeout=20)
        assert failed.status_code == 400 and failed.headers["x-request-id"] == "bad-2"
        broken = requests.post(url, data=b"{", headers={"x-request-id": "bad-3"}, timeout=20)
        assert broken.headers["x-request-id"] == "bad-3"
        running.stop()
    assert given.pop("mine-1") == ["mine-1", "mine-1"]
    new = [found for pair in given.values() for found in pair]
    assert len(set(new)) == 6 and all(len(found) == 32 for found in new)
    rows = recorded(tmp_path, "picky").drop_duplicates("request_id", keep="last").set_index("request_id")
    assert set(new) < set(rows.index)
    assert rows["status"]["bad-1"] == rows["status"]["bad-2"] == rows["status"]["bad-3"] == "INVALID_ARGUMENT"
    assert "x is negative" in rows["error"]["bad-1"] and "x is negative" in rows["error"]["bad-2"]
    assert rows["input_x"]["bad-1"] == -4.0 and np.isnan(rows["output_y"]["bad-1"]) and rows["version"]["bad-1"] == 3
    assert np.isnan(rows["input_x"]["bad-3"]) and rows["error"]["bad-3"]
