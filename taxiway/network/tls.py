"""TLS of our servers and clients, HTTP's and gRPC's: certificate files, and the settings made of them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract.errors import UserError


@dataclass(frozen=True)
class Tls:
    """Certificate files, PEM.

    Attributes:
        cert: The own certificate; a server has one, a client only where the server asks for it.
        key: The key of that certificate, not encrypted.
        ca: The CA certificates that the other side's certificate is checked with. For a client without, the system's;
            a server with them refuses clients that have no certificate.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def loadable(where: str, *, cert: Path | None = None, key: Path | None = None, ca: Path | None = None) -> Tls:
    """Certificate files that TLS can use.

    Args:
        where: What names them, for the error.
        cert: See `Tls`, as for the others.
        key: Goes with the certificate.
        ca: CA certificates.

    Raises:
        UserError: One is missing or no PEM file, or certificate and key do not belong together.
    """
    if (cert is None) != (key is None):
        raise UserError(f"{where}: a certificate and its key go together", fix="name both")
    for file in filter(None, (cert, key, ca)):
        if not file.is_file():
            raise UserError(f"{where}: there is no file {file}", fix="name a PEM file")
    try:
        _context(ssl.PROTOCOL_TLS_CLIENT, Tls(cert, key, ca))
    except (ssl.SSLError, OSError) as error:
        names = ", ".join(str(file) for file in (cert, key, ca) if file)
        raise UserError(f"{where}: {names} cannot be used: {error}", fix="name PEM files that fit") from error
    return Tls(cert, key, ca)


def server_context(tls: Tls) -> ssl.SSLContext:
    """What an HTTP server is given."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.ca)
    context.verify_mode = ssl.CERT_REQUIRED if tls.ca else ssl.CERT_NONE
    return _with_own(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """What an HTTP client is given."""
    return _with_own(ssl.create_default_context(cafile=tls.ca), tls)


def grpc_server_credentials(tls: Tls) -> Any:
    """What a gRPC server is given."""
    import grpc

    ca = _read(tls.ca)
    return grpc.ssl_server_credentials([(_read(tls.key), _read(tls.cert))], ca, require_client_auth=ca is not None)


def grpc_channel_credentials(tls: Tls) -> Any:
    """What a gRPC client is given."""
    import grpc

    return grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.cert))


def _context(protocol: int, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    if tls.ca:
        context.load_verify_locations(tls.ca)
    return _with_own(context, tls)


def _with_own(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    if tls.cert and tls.key:
        # Without a password it would ask for one at the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    return context


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None
