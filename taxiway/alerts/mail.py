"""Mail by SMTP: text and HTML, with the pictures in it."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from markupsafe import Markup

from components.monitoring.alarms.alarm import Alarm
from taxiway.alerts import drawing
from taxiway.alerts.message import Message
from taxiway.alerts.settings import Mail
from taxiway.alerts.ways import NotTakenError, revealed

_SECONDS = 10.0
_PICTURES = 5
"""The most pictures in a mail: those of the most important alarms."""

_SUBJECT = 180  # characters
_LEGEND = Markup(
    '<p style="color:#5f6368"><span style="color:#9aa0a6">&#9632;</span> before '
    '<span style="color:#d95f02">&#9632;</span> now</p>'
)


@dataclass(frozen=True)
class MailWay:
    """Mail to all receivers."""

    settings: Mail
    name: str = "mail"

    @property
    def events(self) -> tuple[str, ...]:
        """The events that it tells."""
        return tuple(self.settings.on)

    def tell(self, message: Message) -> None:
        """Tells a message; raises NotTakenError."""
        try:
            with self._connected() as server:
                server.send_message(written(message, self.settings))
        except smtplib.SMTPException as error:
            raise NotTakenError(f"{self.settings.host} refuses the mail: {type(error).__name__}") from None
        except OSError as error:
            raise NotTakenError(f"{self.settings.host} does not answer: {type(error).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        found, context = self.settings, ssl.create_default_context()
        if found.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(found.host, found.port, timeout=_SECONDS, context=context)
        else:
            server = smtplib.SMTP(found.host, found.port, timeout=_SECONDS)
        try:
            if found.tls == "starttls":
                server.starttls(context=context)
            if found.user:
                server.login(found.user, revealed(found.password))
        except BaseException:
            server.close()
            raise
        return server


def written(message: Message, settings: Mail) -> EmailMessage:
    """The mail; its Message-ID is that of the message, so that mail programs show it once."""
    mail = EmailMessage()
    subject = " ".join(message.subject.split())
    mail["Subject"] = subject if len(subject) <= _SUBJECT else f"{subject[:_SUBJECT]}…"
    mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
    mail["Date"] = format_datetime(message.time)
    mail["Message-ID"] = f"<{message.id}@{settings.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(message.lines) + "\n")
    shown = [each for each in message.alarms if each.picture][:_PICTURES]
    mail.add_alternative(_html(message, shown), subtype="html")
    part = mail.get_payload()[1]  # type: ignore[index]
    for alarm in shown:
        part.add_related(drawing.png(alarm.picture or ""), "image", "png", cid=f"<{alarm.alarm}>")  # type: ignore[union-attr]
    return mail


def _html(message: Message, shown: list[Alarm]) -> str:
    told = Markup("").join(_paragraph(each, each in shown) for each in message.alarms[: len(message.lines)])
    more = Markup("<p>{}</p>").format(message.lines[-1]) if len(message.lines) > len(message.alarms) else Markup("")
    legend = _LEGEND if shown else Markup("")
    return Markup('<html><body style="font-family:sans-serif">{}{}{}</body></html>').format(told, more, legend)


def _paragraph(alarm: Alarm, is_shown: bool) -> Markup:
    text = Markup("<p>{}</p>").format(alarm.sentence)
    if not is_shown:
        return text
    picture = Markup('<p><img src="cid:{}" alt="{}" width="560" height="160"><br><small>{}</small></p>')
    words = drawing.caption(alarm.picture or "")
    return text + picture.format(alarm.alarm, words, words)
