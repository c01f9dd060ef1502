"""Debian's Prometheus and Alertmanager: they read our metrics and our rules, take our alerts and call back."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from taxiway.alerts.metrics import Metrics, serve
from taxiway.alerts.send import send
from taxiway.alerts.settings import Alertmanager, Alerts, Prometheus
from tests.components.monitoring.alarms.windows import Watch
from tests.taxiway.alerts.receivers import HOUR, STRONG, Receiver, receiver, two_alarms

RULES = Path(__file__).parents[3] / "manifests/monitoring/rules.yaml"


@cache
def programs() -> Path | None:
    install = Path(__file__).with_name("install")
    folder = subprocess.run([install, "--find"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(folder, "usr/bin") if folder else None


needs_programs = pytest.mark.skipif(programs() is None, reason="Prometheus is missing; run: make prometheus")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(is_done: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_done()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@contextmanager
def running(program: str, folder: Path, port: int, config: Any, *options: str) -> Iterator[str]:
    """A program with its settings and an empty store; yields its URL once it is ready."""
    bin_folder = programs()
    assert bin_folder
    (folder / f"{program}.yml").write_text(yaml.safe_dump(config))
    command = [
        str(bin_folder / program),
        f"--config.file={program}.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    (folder / ".usr").unlink(missing_ok=True)
    (folder / ".usr").symlink_to(bin_folder.parent)  # see `install`
    url = f"http://127.0.0.1:{port}"
    with (folder / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or _is_ready(f"{url}/-/ready"))
            assert process.poll() is None, (folder / f"{program}.log").read_text()
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def alertmanager(folder: Path, hook: Receiver) -> Iterator[str]:
    route = {"receiver": "us", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    config = {"route": route, "receivers": [{"name": "us", "webhook_configs": [{"url": f"{hook.url}/back"}]}]}
    options = ("--storage.path=alerts", "--cluster.listen-address=")
    with running("prometheus-alertmanager", folder, free_port(), config, *options) as url:
        yield url


def came_back(hook: Receiver) -> dict[tuple[str, str], str]:
    """The last status of each alert that Alertmanager told, by its name and column, and its summary."""
    alerts = [alert for body in list(hook.bodies) for alert in body["alerts"]]
    return {(each["labels"]["alertname"], each["labels"]["column"]): each["status"] for each in alerts}


def summaries(hook: Receiver) -> set[str]:
    return {alert["annotations"]["summary"] for body in list(hook.bodies) for alert in body["alerts"]}


@needs_programs
@pytest.mark.slow
def test_alertmanager_takes_alarms_and_ends_them(tmp_path: Path) -> None:
    watch = _recent(tmp_path)
    with receiver() as hook, alertmanager(tmp_path, hook) as url:
        settings = Alerts(alertmanager=Alertmanager(url))
        assert send(watch.store, "taxi", settings) == []
        wait_for(lambda: came_back(hook) == {("TaxiwayAlarm", "trip_miles"): "firing"})
        assert summaries(hook) == {watch.alarms[0].sentence}
        assert send(watch.store, "taxi", settings) == []  # still open: Alertmanager tells nothing new
        for number in (1, 2, 3):
            watch.see(number, later=datetime.now(UTC) - watch.window(number).end)
        assert [outcome.error for outcome in send(watch.store, "taxi", settings)] == [""]
        wait_for(lambda: came_back(hook) == {("TaxiwayAlarm", "trip_miles"): "resolved"})


def _recent(folder: Path) -> Watch:
    """A model whose alarm was raised now: Alertmanager compares with its own clock."""
    watch = Watch(folder)
    now = datetime.now(UTC)
    watch.see(0, STRONG, later=now - watch.window(0).end)
    return watch


@needs_programs
@pytest.mark.slow
def test_prometheus_reads_the_metrics_and_raises_by_the_rules(tmp_path: Path) -> None:
    watch = two_alarms(tmp_path)
    settings, metrics = Prometheus(), Metrics()
    server = serve(metrics, settings)
    send(watch.store, "taxi", Alerts(prometheus=settings), metrics=metrics)
    try:
        with receiver() as hook, alertmanager(tmp_path, hook) as url:
            target = {"static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]}
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(_rules(tmp_path))],
                "scrape_configs": [{"job_name": "taxiway", **target}],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [url.removeprefix("http://")]}]}]},
            }
            with running("prometheus", tmp_path, free_port(), config, "--storage.tsdb.path=data") as prometheus:
                wait_for(lambda: len(came_back(hook)) == 3)
                assert set(came_back(hook).values()) == {"firing"}
                assert "taxi: unseen of payment_type" in summaries(hook)
                query = f"{prometheus}/api/v1/query?query=taxiway_monitor_rows"
                with urllib.request.urlopen(query, timeout=5) as answer:
                    [found] = json.load(answer)["data"]["result"]
                assert found["metric"]["model"] == "taxi"
                for number in (1, 2, 3):
                    watch.see(number, later=HOUR)
                send(watch.store, "taxi", Alerts(prometheus=settings), metrics=metrics)
                wait_for(lambda: set(came_back(hook).values()) == {"resolved"})
    finally:
        server.shutdown()
        server.server_close()


def _rules(folder: Path) -> Path:
    """The rules as a file of Prometheus's, whether or not they are wrapped for its operator."""
    found = next(each for each in yaml.safe_load_all(RULES.read_text()) if "groups" in each.get("spec", each))
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": found.get("spec", found)["groups"]}))
    return folder / "rules.yml"


@needs_programs
def test_the_rules_are_valid(tmp_path: Path) -> None:
    bin_folder = programs()
    assert bin_folder
    command = [bin_folder / "promtool", "check", "rules", _rules(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
