"""Where alarms go: the section `alerts` of the monitor's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from components.contract.errors import UserError
from components.contract.settings import named, require_choice, typed
from components.contract.times import duration
from taxiway.alerts.secret import is_secret, secret

EVENTS = ("opened", "acknowledged", "closed")
"""What can be told of an alarm."""

_FORMATS, _TLS = ("json", "slack"), ("starttls", "tls", "none")


@dataclass(frozen=True)
class Webhook:
    """A URL that gets every message by POST.

    Attributes:
        url: The URL, or env:NAME or file:PATH, because Slack's are secrets.
        format: `json`, or `slack` for Slack's incoming webhooks.
        secret: env:NAME or file:PATH of the key that signs messages; empty for none.
        on: What is told: opened, acknowledged, closed.
    """

    url: str
    format: str = "json"
    secret: str = ""
    on: list[str] = field(default_factory=lambda: ["opened", "closed"])


@dataclass(frozen=True)
class Mail:
    """A mail server.

    Attributes:
        host: Its host.
        sender: The address of the sender.
        to: The addresses of the receivers.
        port: Its port.
        tls: `starttls`, `tls` from the start, or `none`.
        user: The user's name; empty for no login.
        password: env:NAME or file:PATH of the password.
        on: What is told: opened, acknowledged, closed.
    """

    host: str
    sender: str
    to: list[str]
    port: int = 587
    tls: str = "starttls"
    user: str = ""
    password: str = ""
    on: list[str] = field(default_factory=lambda: ["opened", "closed"])


@dataclass(frozen=True)
class Prometheus:
    """Metrics.

    Attributes:
        textfile: The folder of node_exporter's textfile collector; empty for none.
        port: The port of /metrics while the monitor runs; 0 for none.
        host: The address to listen on.
    """

    textfile: str = ""
    port: int = 0
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Alertmanager:
    """An Alertmanager.

    Attributes:
        url: Its URL.
        hold: How long an alarm stays there if the monitor does not run again.
        token: env:NAME or file:PATH of a bearer token; empty for none.
    """

    url: str
    hold: str = "24h"
    token: str = ""


@dataclass(frozen=True)
class Kubernetes:
    """Events in a namespace.

    Attributes:
        namespace: The namespace.
        object: What the events are about, as KIND/NAME; empty for the namespace.
        on: What is told: opened, acknowledged, closed.
    """

    namespace: str
    object: str = ""
    on: list[str] = field(default_factory=lambda: ["opened", "closed"])


@dataclass(frozen=True)
class Alerts:
    """All ways out."""

    webhooks: tuple[Webhook, ...] = ()
    mail: Mail | None = None
    prometheus: Prometheus | None = None
    alertmanager: Alertmanager | None = None
    kubernetes: Kubernetes | None = None


def parsed(given: Any, where: str = "alerts") -> Alerts:
    """The settings of the ways out.

    Raises:
        UserError: A setting is unknown, missing or wrong.
    """
    if given is None:
        return Alerts()
    found = named(given, Alerts, where)
    hooks = found.pop("webhooks", [])
    if not isinstance(hooks, list):
        raise UserError(f"{where}.webhooks is {hooks!r}", fix="write a list, each with its url")
    webhooks = tuple(_webhook(each, f"{where}.webhooks[{number}]") for number, each in enumerate(hooks))
    parsers: Mapping[str, Any] = {
        "mail": _mail,
        "prometheus": _prometheus,
        "alertmanager": _alertmanager,
        "kubernetes": _kubernetes,
    }
    return Alerts(webhooks, **{name: parsers[name](value, f"{where}.{name}") for name, value in found.items()})


def _webhook(given: Any, where: str) -> Webhook:
    found = typed(named(given, Webhook, where), Webhook, where)
    _check_url(found.url, f"{where}.url")
    require_choice(found.format, _FORMATS, f"{where}.format")
    _check_secret(found.secret, f"{where}.secret")
    _check_events(found.on, f"{where}.on")
    return found


def _mail(given: Any, where: str) -> Mail:
    found = typed(named(given, Mail, where), Mail, where)
    require_choice(found.tls, _TLS, f"{where}.tls")
    _check_secret(found.password, f"{where}.password")
    _check_events(found.on, f"{where}.on")
    for address in (found.sender, *found.to):
        if not re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", address):
            raise UserError(f"{where}: {address!r} is no address", fix="write NAME@HOST")
    if not found.to:
        raise UserError(f"{where}.to is empty", fix="name a receiver")
    if bool(found.user) != bool(found.password):
        raise UserError(f"{where} has only one of user and password", fix="give both, or none")
    if found.user and found.tls == "none":
        raise UserError(f"{where} would send the password in plain text", fix="set tls: starttls")
    return found


def _prometheus(given: Any, where: str) -> Prometheus:
    return typed(named(given, Prometheus, where), Prometheus, where)


def _alertmanager(given: Any, where: str) -> Alertmanager:
    found = typed(named(given, Alertmanager, where), Alertmanager, where)
    _check_url(found.url, f"{where}.url")
    _check_secret(found.token, f"{where}.token")
    duration(found.hold, f"{where}.hold")
    return found


def _kubernetes(given: Any, where: str) -> Kubernetes:
    found = typed(named(given, Kubernetes, where), Kubernetes, where)
    if found.object and not re.fullmatch(r"(CronJob|Deployment|Pod|Service)/[a-z0-9.-]+", found.object):
        raise UserError(
            f"{where}.object is {found.object!r}", fix="write KIND/NAME with CronJob, Deployment, Pod or Service"
        )
    _check_events(found.on, f"{where}.on")
    return found


def _check_url(url: str, where: str) -> None:
    if not is_secret(url) and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
        raise UserError(f"{where} is {url!r}", fix="write http:// or https:// and a host, or env:NAME or file:PATH")


def _check_secret(text: str, where: str) -> None:
    if text:
        secret(text, where)


def _check_events(events: list[str], where: str) -> None:
    for each in events:
        require_choice(each, EVENTS, where)
