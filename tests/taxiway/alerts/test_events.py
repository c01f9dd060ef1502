"""Kubernetes Events, with a stub of the API."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.alerts.send import send
from taxiway.alerts.settings import Alerts, Kubernetes
from tests.taxiway.alerts.receivers import NOW, receiver, two_alarms
from tests.taxiway.doctor.doctor_servers import write_kubeconfig

SETTINGS = Alerts(kubernetes=Kubernetes("ml", "CronJob/taxiway-monitor"))


def test_every_alarm_is_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = two_alarms(tmp_path)
    with receiver(lambda path, body: body) as api:
        write_kubeconfig(tmp_path / "kubeconfig", api.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        [outcome] = send(watch.store, "taxi", SETTINGS, now=NOW)
        assert outcome.error == ""
    assert {path for path, _, _ in api.requests} == {"/api/v1/namespaces/ml/events"}
    event = api.bodies[0]
    assert (event["type"], event["reason"]) == ("Warning", "AlarmOpened")
    assert event["involvedObject"]["kind"] == "CronJob"
    assert event["message"].startswith("taxi version 1: payment_type: `Prcard`")
    assert len({each["metadata"]["name"] for each in api.bodies}) == 3


def test_an_event_that_exists_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass before was killed after it had created the first of three."""
    watch = two_alarms(tmp_path)
    with receiver(lambda path, body: {"message": "already exists"}) as api:
        api.statuses = [409]
        write_kubeconfig(tmp_path / "kubeconfig", api.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        assert [each.error for each in send(watch.store, "taxi", SETTINGS, now=NOW)] == [""]
    assert len(api.requests) == 3


def test_missing_rights_are_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = two_alarms(tmp_path)
    with receiver(lambda path, body: {"message": "events is forbidden"}) as api:
        api.statuses = [403] * 3
        write_kubeconfig(tmp_path / "kubeconfig", api.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        [outcome] = send(watch.store, "taxi", SETTINGS, now=NOW, sleep=lambda seconds: None)
        assert "403: events is forbidden" in outcome.error
        later = NOW + timedelta(hours=1)
        assert [each.error for each in send(watch.store, "taxi", SETTINGS, now=later)] == [""]
