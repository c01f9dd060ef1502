"""The settings of the ways out are checked before the first alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from components.contract.errors import UserError
from components.contract.times import duration
from taxiway.alerts.settings import Alerts, Kubernetes, Mail, Webhook, parsed

MAIL = {"host": "mail", "sender": "taxiway@example.com", "to": ["ann@example.com"]}


def test_all_of_them() -> None:
    found = parsed(
        {
            "webhooks": [{"url": "env:SLACK", "format": "slack"}],
            "mail": MAIL,
            "prometheus": {"port": 9464},
            "alertmanager": {"url": "http://alertmanager:9093", "hold": "2h"},
            "kubernetes": {"namespace": "ml", "object": "CronJob/taxiway-monitor"},
        }
    )
    assert found.webhooks == (Webhook("env:SLACK", format="slack"),)
    assert found.mail == Mail("mail", "taxiway@example.com", ["ann@example.com"])
    assert found.kubernetes == Kubernetes("ml", "CronJob/taxiway-monitor")
    assert parsed(None) == Alerts()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slack": {}}, "alerts has no setting 'slack'"),
        ({"webhooks": {"url": "http://a"}}, "alerts.webhooks is {'url': 'http://a'}"),
        ({"webhooks": [{}]}, r"alerts.webhooks\[0\].url is missing"),
        ({"webhooks": [{"url": "a"}]}, r"alerts.webhooks\[0\].url is 'a'"),
        ({"webhooks": [{"url": "http://a", "format": "teams"}]}, "use one of json, slack"),
        ({"webhooks": [{"url": "http://a", "on": ["suspected"]}]}, "use one of opened, acknowledged, closed"),
        ({"mail": {**MAIL, "to": []}}, "name a receiver"),
        ({"mail": {**MAIL, "to": ["ann@a\nBcc: b@c"]}}, "is no address"),
        ({"mail": {**MAIL, "user": "ann"}}, "only one of user and password"),
        ({"mail": {**MAIL, "user": "ann", "password": "env:P", "tls": "none"}}, "in plain text"),
        ({"alertmanager": {"url": "http://a", "hold": "long"}}, "alerts.alertmanager.hold is 'long'"),
        ({"kubernetes": {"namespace": "ml", "object": "taxi"}}, "write KIND/NAME"),
    ],
)
def test_what_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parsed(given)


def test_a_secret_in_the_settings_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match=r"write env:NAME or file:PATH") as refused:
        parsed({"webhooks": [{"url": "http://a", "secret": "hunter2"}]})
    assert "hunter2" not in str(refused.value)


def test_spans() -> None:
    assert [duration(text, "x") for text in ("30s", "5m", "3h", "2d")] == [
        timedelta(seconds=30),
        timedelta(minutes=5),
        timedelta(hours=3),
        timedelta(days=2),
    ]
