"""A mail server on loopback: ESMTP with STARTTLS and AUTH PLAIN, as in RFC 5321, 3207 and 4954."""

from __future__ import annotations

import base64
import io
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


@dataclass
class Mailbox:
    """What a mail server got.

    Attributes:
        port: Its port.
        mails: The mails.
        receivers: The addresses to which they are to go.
        logins: The users' names and passwords.
        refusal: A reply to mails instead of taking them.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refusal: str = ""


@contextmanager
def mail_server(certificate: Path | None = None, key: Path | None = None) -> Iterator[Mailbox]:
    """With a certificate, it offers STARTTLS, and takes logins only after that."""
    box = Mailbox()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), lambda *given: _Session(box, context, *given)) as server:  # type: ignore[arg-type]
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield box
        server.shutdown()
        thread.join()


class _Session(socketserver.StreamRequestHandler):
    def __init__(self, box: Mailbox, context: ssl.SSLContext | None, *given: object) -> None:
        self.box, self.context, self.is_safe = box, context, False
        self.safe: ssl.SSLSocket | None = None
        super().__init__(*given)  # type: ignore[arg-type]

    def handle(self) -> None:
        self._say("220 loopback ESMTP")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                self._say("221 bye")
                break
            getattr(self, f"_{verb.lower()}", self._unknown)(rest)

    def finish(self) -> None:
        super().finish()
        if self.safe:
            self.safe.close()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def _unknown(self, rest: str) -> None:
        self._say("502 not here")

    def _ehlo(self, rest: str) -> None:
        offers = ["AUTH PLAIN"] if self.is_safe else ["STARTTLS"] * bool(self.context)
        for offer in ["loopback", *offers]:
            self._say(f"250-{offer}")
        self._say("250 8BITMIME")

    def _starttls(self, rest: str) -> None:
        assert self.context
        self._say("220 go ahead")
        self.wfile.flush()
        try:
            safe = self.context.wrap_socket(self.request, server_side=True)
        except ssl.SSLError:  # the client does not trust it, and leaves
            self.rfile = io.BytesIO()
            return
        self.rfile, self.wfile, self.is_safe = safe.makefile("rb"), safe.makefile("wb", buffering=0), True
        self.safe = safe

    def _auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        self.box.logins.append((user, password))
        self._say("235 welcome" if password == "right" else "535 no")

    def _mail(self, rest: str) -> None:
        self._say("250 ok")

    def _rset(self, rest: str) -> None:
        self._say("250 ok")

    def _rcpt(self, rest: str) -> None:
        self.box.receivers.append(rest.partition("<")[2].partition(">")[0])
        self._say("250 ok")

    def _data(self, rest: str) -> None:
        self._say("354 go ahead")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if self.box.refusal:
            return self._say(self.box.refusal)
        self.box.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
        return self._say("250 taken")
