"""Rollouts with everything real: `taxiway serve` and its labels, recorded requests and their outcomes."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

from components.data.serving_stubs import prediction_service_pb2_grpc
from components.monitoring.labels.add import add
from components.monitoring.store import INFERENCE, Store
from taxiway.delivery import deliver
from taxiway.delivery.keeper import Keeper
from taxiway.delivery.rollout import PROMOTED, ROLLED_BACK
from tests.taxiway.delivery.conftest import Setup, Traffic, proxy
from tests.taxiway.delivery.test_with_proxy import shares
from tests.taxiway.small_servers import Running

CONFIG = """model_config_list {
  config {
    name: "taxi"
    base_path: "%s"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
    version_labels { key: "stable" value: 1 }
  }
}
"""


@pytest.mark.slow
def test_the_model_server_takes_the_labels_without_a_failed_request(tmp_path: Path) -> None:
    """The challenger is labelled, tried and promoted, while the server polls its models.config."""
    from tests.taxiway.serving import models, server  # they load TensorFlow

    folder, file = tmp_path / "taxi", tmp_path / "models.config"
    model = models.write("half_plus_two", tmp_path / "model")
    for version in (1, 2):
        models.publish(model, folder, version)
    file.write_text(CONFIG % folder)
    with server.running(tmp_path, "--config", file) as served:
        served.wait("taxi", {1: "AVAILABLE", 2: "AVAILABLE"})
        backend = Running(served.process, [served.address], served.log)  # type: ignore[arg-type]
        with proxy(tmp_path / "proxy", backend) as started:
            setup = Setup(backend, started.grpc, f"http://{started.addresses[2]}")
            stop, failures, count = threading.Event(), list[str](), [0]

            def ask() -> None:
                with grpc.insecure_channel(setup.proxy, [("grpc.enable_http_proxy", 0)]) as channel:
                    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                    while not stop.is_set():
                        try:
                            stub.Predict(server.request("taxi", x=[2.0]), timeout=10)
                            count[0] += 1
                        except grpc.RpcError as error:
                            failures.append(str(error))

            asking = threading.Thread(target=ask)
            asking.start()
            given = setup.settings(20, 50, destination=str(folder), guardrails={"latency": False})
            try:
                ended = deliver.started(Keeper(tmp_path / "kept" / "taxi"), 1, 2, given).run()
            finally:
                stop.set()
                asking.join()
            assert (ended.state, failures) == (PROMOTED, []), ended.reason
            assert count[0] > 100
            assert shares(setup.admin) == {"stable": 100.0, "canary": 0.0}
            assert "canary" not in file.read_text()


@pytest.mark.slow
def test_a_worse_outcome_takes_the_version_back(server: Running, traffic: Traffic, tmp_path: Path) -> None:
    """Requests recorded by the proxy, outcomes taken in as labels while the rollout goes on."""
    tables = tmp_path / "tables"
    recording = ("--admin-port", 0, "--inference-tables", tables, "--inference-share", 1)
    with proxy(tmp_path / "proxy", server, *recording) as started:
        setup = Setup(server, started.grpc, f"http://{started.addresses[2]}")
        traffic(setup.proxy, 150)
        store, source, labelled = Store(f"{tables}/taxi"), random.Random(3), set[str]()
        business = {"label": "paid", "delay": "20s"}
        given = setup.settings(50, seconds=120, guardrails={"business": business}, tables=str(tables), silence="60s")
        session = deliver.started(Keeper(tmp_path / "taxi"), 1, 2, given)

        def outcomes() -> None:
            rows = store.read(INFERENCE, columns=["request_id", "version"]).to_pylist()
            new = [each for each in rows if each["request_id"] not in labelled]
            paid = [float(source.random() < (0.5 if each["version"] == 1 else 0.2)) for each in new]
            if new:
                ids = [each["request_id"] for each in new]
                labelled.update(ids)
                add(store, pa.table({"request_id": ids, "paid": paid}), labels=["paid"])

        deadline = time.monotonic() + 110
        while not session.is_done and time.monotonic() < deadline:
            outcomes()
            session.tick(datetime.now(UTC))
            time.sleep(0.5)
        assert session.rollout.state == ROLLED_BACK, session.rollout
        assert session.rollout.reason.startswith("business: paid is 0.")
        assert shares(setup.admin) == {"stable": 100.0, "canary": 0.0}
