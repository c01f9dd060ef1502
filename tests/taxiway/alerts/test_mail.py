"""Mail, through a mail server on loopback."""

from __future__ import annotations

import socket
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taxiway.alerts.drawing import NOW as ORANGE
from taxiway.alerts.drawing import png
from taxiway.alerts.message import Message
from taxiway.alerts.send import Outcome, send
from taxiway.alerts.settings import Alerts, Mail
from tests.components.monitoring.alarms.windows import Watch
from tests.taxiway.alerts.receivers import NOW, two_alarms
from tests.taxiway.alerts.smtp_server import mail_server


def told(watch: Watch, port: int, **given: Any) -> Outcome:
    mail = Mail(
        **{"host": "localhost", "sender": "taxiway@example.com", "to": ["ann@example.com"], "port": port, **given}
    )
    [outcome] = send(watch.store, "taxi", Alerts(mail=mail), now=NOW, sleep=lambda seconds: None)
    return outcome


def test_a_mail_has_text_html_and_pictures(tmp_path: Path) -> None:
    with mail_server() as box:
        assert told(two_alarms(tmp_path), box.port, tls="none", to=["ann@example.com", "bob@example.com"]).error == ""
    [mail] = box.mails
    assert box.receivers == ["ann@example.com", "bob@example.com"]
    assert (mail["Subject"], mail["From"]) == ("taxi: 3 alarms", "taxiway@example.com")
    text, html = (mail.get_body([kind]) for kind in ("plain", "html"))
    assert text is not None and "`Prcard` is 4.6 % of rows, never seen in training" in text.get_content()
    assert html is not None and "-&gt; 5.25 (+" in html.get_content()
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 2
    for part in pictures:
        assert f'src="cid:{part["Content-ID"].strip("<>")}"' in html.get_content()
        assert part.get_content().startswith(b"\x89PNG")


def test_sentences_cannot_inject_html(tmp_path: Path) -> None:
    from dataclasses import replace

    from components.monitoring.alarms.alarm import Change
    from taxiway.alerts.mail import written

    alarm = replace(two_alarms(tmp_path).alarms[0], sentence="a: `<script>` \r\nBcc: b@c is 4 %", picture=None)
    mail = written(Message("opened", "taxi", NOW, [Change("opened", alarm)]), Mail("h", "a@b", ["c@d"]))
    assert "<script>" not in str(mail.get_body(["html"]))
    assert mail["Bcc"] is None


def test_starttls_and_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    watch = two_alarms(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    login = {"user": "taxiway", "password": "env:MAIL_PASSWORD"}
    with mail_server(tmp_path / "cert.pem", tmp_path / "key.pem") as box:
        untrusted = told(watch, box.port, **login)
        assert untrusted.error == "localhost does not answer: SSLCertVerificationError"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert ssl.create_default_context().cert_store_stats()["x509"] == 1
        assert _later(watch, box.port, **login).error == ""
        assert box.logins == [("taxiway", "right")]
        assert len(box.mails) == 1


def _later(watch: Watch, port: int, **given: Any) -> Outcome:
    mail = Mail("localhost", "taxiway@example.com", ["ann@example.com"], port, **given)
    [outcome] = send(watch.store, "taxi", Alerts(mail=mail), now=NOW + timedelta(hours=1), sleep=lambda seconds: None)
    return outcome


def test_a_server_without_starttls_gets_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    with mail_server() as box:
        outcome = told(two_alarms(tmp_path), box.port, user="taxiway", password="env:MAIL_PASSWORD")
    assert outcome.error == "localhost refuses the mail: SMTPNotSupportedError"
    assert box.logins == []


def test_refused_and_away(tmp_path: Path) -> None:
    watch = two_alarms(tmp_path)
    with mail_server() as box:
        box.refusal = "451 later"
        assert told(watch, box.port, tls="none").error == "localhost refuses the mail: SMTPDataError"
        box.refusal = ""
        assert _later(watch, box.port, tls="none").error == ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert (
        told(two_alarms(tmp_path / "b"), port, tls="none").error == "localhost does not answer: ConnectionRefusedError"
    )


@pytest.mark.parametrize(
    "picture",
    [
        '{"kind":"numbers","column":"x","bins":[{"low":0,"high":1,"before":0.5,"now":1},{"low":1,"high":2,"before":0.5,"now":0}]}',
        '{"kind":"shares","column":"x","label":"missing","before":0,"now":0.5}',
        '{"kind":"values","column":"x","values":[{"value":"a","before":0.5,"now":0.5}],"rest":{"before":0.5,"now":0.5}}',
    ],
)
def test_pictures_are_valid_pngs(picture: str, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a.png").write_bytes(png(picture))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (560, 160)
        assert ORANGE in {colour for _, colour in image.getcolors() or []}
