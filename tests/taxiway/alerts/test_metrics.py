"""Metrics as Prometheus reads them, in a file and over HTTP."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.contract.errors import ServiceError
from components.monitoring.alarms.acknowledge import acknowledge
from components.monitoring.tables import WINDOWS
from taxiway.alerts.metrics import Metrics, Snapshot, serve
from taxiway.alerts.send import send
from taxiway.alerts.settings import Alerts, Prometheus
from tests.components.monitoring.alarms.windows import Watch
from tests.taxiway.alerts.receivers import HOUR, NOW, START, two_alarms


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    watch = two_alarms(tmp_path)
    row = {
        "window_start": START,
        "window_end": START + HOUR,
        "window": "1h",
        "model": "taxi",
        "version": 1,
        "rows": 900,
    }
    watch.store.append("windows", pa.Table.from_pylist([row], schema=WINDOWS))
    acknowledge(watch.store, watch.alarms[0].alarm, "ann", NOW)
    return watch


def test_the_file_and_the_endpoint_say_the_same(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "textfile").mkdir()
    settings, metrics = Prometheus(textfile=str(tmp_path / "textfile"), port=0), Metrics()
    server = serve(metrics, settings)
    try:
        assert send(watch.store, "taxi", Alerts(prometheus=settings), metrics=metrics, now=NOW) == []
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            served = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    [file] = (tmp_path / "textfile").iterdir()
    assert file.name == "taxiway_taxi.prom"
    found = samples(file.read_text())
    assert found == samples(served)
    assert found["taxiway_monitor_last_window_timestamp_seconds"] == [({"model": "taxi"}, NOW.timestamp())]
    assert found["taxiway_monitor_rows"] == [({"model": "taxi"}, 900)]
    states = {labels["column"]: labels["state"] for labels, _ in found["taxiway_monitor_alarms"]}
    assert states == {"gone": "acknowledged", "payment_type": "open", "trip_miles": "open"}


@pytest.mark.slow
def test_the_number_of_series_is_bounded(watch: Watch) -> None:
    alarms = [replace(watch.alarms[0], alarm=str(number), column=f"c{number}") for number in range(1000)]
    metrics = Metrics()
    metrics.show("taxi", Snapshot(alarms))
    families = {family.name: family for family in metrics.collect()}
    found = {sample.labels["column"]: sample.value for sample in families["taxiway_monitor_alarms"].samples}
    assert len(found) == 201
    assert found["others"] == 800


def test_a_folder_that_is_missing_stops_nothing(watch: Watch, tmp_path: Path) -> None:
    [outcome] = send(watch.store, "taxi", Alerts(prometheus=Prometheus(textfile=f"{tmp_path}/no")), now=NOW)
    assert outcome.error == f"{tmp_path}/no cannot be written to: No such file or directory"


def test_a_port_that_is_taken() -> None:
    metrics = Metrics()
    server = serve(metrics, Prometheus())
    try:
        with pytest.raises(ServiceError, match="cannot be opened: Address already in use"):
            serve(metrics, Prometheus(port=server.server_port))
    finally:
        server.shutdown()
        server.server_close()
