"""The monitoring overlay: settings that our own readers take, rules and panels over metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry

from components.inference.privacy import privacy
from taxiway.alerts.metrics import Metrics as AlarmMetrics
from taxiway.cli.monitoring.monitor import monitor_app
from taxiway.monitoring.settings import load
from taxiway.recording.metrics import Metrics as RecordingMetrics
from taxiway.routing import settings as routing
from tests.manifests.objects import MANIFESTS, Object, build, of_kind, one, pods
from tests.taxiway.alerts.test_prometheus import programs

OVERLAY = "overlays/monitoring"
FOLDER = MANIFESTS / "components" / "monitoring"
DASHBOARD: Any = json.loads((FOLDER / "dashboard.json").read_text())
RULES: Any = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
_METRIC = re.compile(r"\btaxiway_\w+")


def _expressions() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return [*rules, *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])]


def _known() -> set[str]:
    """The names of the metrics that the recorder and the monitor export."""
    registry = CollectorRegistry()
    RecordingMetrics(registry)
    counted = {f"{each.name}_total" if each.type == "counter" else each.name for each in registry.collect()}
    return counted | {each.name for each in AlarmMetrics().collect()}


def _recorder() -> Object:
    [pod] = [pod for pod in pods(build(OVERLAY)) if pod.workload == "Deployment/tf-serving"]
    return next(each for each in pod.containers if each["name"] == "recorder")


def test_rules_and_panels_are_over_metrics_that_exist() -> None:
    expressions = _expressions()
    assert len(expressions) >= 15
    found = {name for text in expressions for name in _METRIC.findall(text)}
    assert found <= _known()
    assert {"taxiway_monitor_alarms", "taxiway_inference_dropped_total"} <= found


def test_every_rule_says_what_is_wrong() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len(rules) > 3
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] == "warning"


def test_promtool_takes_the_rules_and_every_panels_expression(tmp_path: Path) -> None:
    folder = programs()
    promtool = shutil.which("promtool") or (folder and folder / "promtool")
    if not promtool:
        pytest.skip("promtool is missing; run: make prometheus")
    texts = [text.replace("$__rate_interval", "5m").replace("$model", ".*") for text in _expressions()]
    rules = [{"record": f"expression_{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for each in (FOLDER / "alerts.yaml", file):
        checked = subprocess.run([promtool, "check", "rules", each], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_the_dashboard_has_the_form_of_grafanas() -> None:
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and DASHBOARD["title"]
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(DASHBOARD))) <= variables
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) >= 10
    for panel in DASHBOARD["panels"]:
        assert {"type", "title", "description", "datasource", "gridPos", "fieldConfig", "targets"} <= set(panel)
        assert panel["type"] in ("stat", "timeseries", "table")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    assert len(DASHBOARD["panels"]) >= 10
    for at in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_the_recorders_settings_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = one(build(OVERLAY), "ConfigMap", "recorder")["data"]
    given = yaml.safe_load(data["route.yaml"])
    rules = yaml.safe_load(data["privacy.yaml"])["privacy"]
    mounts = {each["name"]: each["mountPath"] for each in _recorder()["volumeMounts"]}
    assert given["inference"]["privacy"] == f"{mounts['recorder']}/privacy.yaml"
    assert rules["keys"] == mounts["privacy-keys"]
    (tmp_path / "k1").write_text("0" * 32)
    file = tmp_path / "privacy.yaml"
    file.write_text(yaml.safe_dump({"privacy": {**rules, "keys": str(tmp_path)}}))
    assert privacy.load(file).keys
    settings = routing.parse({**given, "inference": {**given["inference"], "privacy": str(file)}}, "route.yaml")
    ports = {port["containerPort"] for port in _recorder()["ports"]}
    assert ports == {settings.port, settings.rest_port}
    assert settings.backends["server"].grpc == "127.0.0.1:8500"


def test_recorder_and_monitor_use_the_same_tables() -> None:
    data = one(build(OVERLAY), "ConfigMap", "recorder")["data"]
    [settings] = [
        each["data"]
        for each in of_kind(build(OVERLAY), "ConfigMap")
        if each["metadata"]["name"].startswith("monitoring")
    ]
    assert yaml.safe_load(data["route.yaml"])["inference"]["tables"] == settings["TAXIWAY_TABLES"]


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_monitors_never_run_twice_at_once_and_take_no_token(kind: str) -> None:
    objects = build(OVERLAY if kind == "Deployment" else "components/monitor-cron-job")
    spec = one(objects, kind, "monitor")["spec"]
    assert spec.get("concurrencyPolicy") == "Forbid" or (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    [pod] = [pod for pod in pods(objects) if pod.workload == f"{kind}/monitor"]
    assert pod.spec["automountServiceAccountToken"] is False
    secrets = {source["secretRef"]["name"] for source in pod.containers[0]["envFrom"] if "secretRef" in source}
    assert secrets == {"monitoring"}


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_the_monitors_command_line_is_one_that_taxiway_takes(kind: str) -> None:
    objects = build(OVERLAY if kind == "Deployment" else "components/monitor-cron-job")
    [pod] = [pod for pod in pods(objects) if pod.workload == f"{kind}/monitor"]
    first, *given = pod.containers[0]["args"]
    group: Any = typer.main.get_command(monitor_app)
    parsed = group.commands["run"].make_context(first, list(given)).params
    assert (first, parsed["model"], parsed["tables"]) == ("monitor", "/models/chicago_taxi", "$(TAXIWAY_TABLES)")
    assert parsed["every"] == ("5m" if kind == "Deployment" else "")


def test_the_rules_have_a_source_that_prometheus_scrapes(tmp_path: Path) -> None:
    [config] = [each["data"] for each in of_kind(build(OVERLAY), "ConfigMap") if "monitor.yaml" in each["data"]]
    (tmp_path / "monitor.yaml").write_text(config["monitor.yaml"])
    prometheus = load(tmp_path / "monitor.yaml").alerts.prometheus
    assert prometheus and prometheus.host == "0.0.0.0"
    [pod] = [pod for pod in pods(build(OVERLAY)) if pod.workload == "Deployment/monitor"]
    assert pod.ports == {"metrics": prometheus.port}
    assert one(build(OVERLAY), "ServiceMonitor", "monitor")["spec"]["endpoints"][0]["port"] == "metrics"
