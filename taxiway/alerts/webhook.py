"""Webhooks: JSON, signed if there is a key, or Slack's form."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from taxiway.alerts.message import Message, payload
from taxiway.alerts.settings import Webhook
from taxiway.alerts.ways import address, post, revealed

SIGNATURE, MESSAGE = "X-Taxiway-Signature", "X-Taxiway-Message"
"""The headers with the signature and the message's id."""

_SLACK_TEXT = 2900  # Slack refuses blocks with more than 3,000 characters


@dataclass(frozen=True)
class WebhookWay:
    """A webhook, and its name."""

    name: str
    settings: Webhook

    @property
    def events(self) -> tuple[str, ...]:
        """The events that it tells."""
        return tuple(self.settings.on)

    def tell(self, message: Message) -> None:
        """Tells a message; raises NotTakenError."""
        content = slack(message) if self.settings.format == "slack" else payload(message)
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {MESSAGE: message.id}
        if self.settings.secret:
            headers[SIGNATURE] = signature(revealed(self.settings.secret), int(message.time.timestamp()), body)
        post(address(self.settings.url), body, headers)


def signature(key: str, time: int, body: bytes) -> str:
    """`t=TIME,v1=HEX`: HMAC-SHA256 of the time, a dot and the body. The time lets receivers refuse old messages."""
    found = hmac.new(key.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={time},v1={found}"


def slack(message: Message) -> dict[str, Any]:
    """The message as Slack's incoming webhooks take it."""
    emoji = ":rotating_light:" if message.event == "opened" else ":white_check_mark:"
    texts = [f"{emoji} {line}" for line in ([message.subject] if len(message.changes) == 1 else message.lines)]
    head = [] if len(message.changes) == 1 else [f"*{_escaped(message.subject)}*"]
    blocks = [_section(text) for text in [*head, *map(_escaped, texts)]]
    context = {"type": "context", "elements": [{"type": "plain_text", "text": f"taxiway {message.id}"}]}
    return {"text": _escaped(message.subject), "blocks": [*blocks, context]}


def _section(text: str) -> dict[str, Any]:
    shown = text if len(text) <= _SLACK_TEXT else f"{text[:_SLACK_TEXT]}…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": shown}}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
