"""TLS for our HTTP and gRPC servers and clients: certificate files and the settings made from them."""

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
        cert: Our own certificate; always for a server, and for a client if the server requires it.
        key: The unencrypted private key of that certificate.
        ca: CA certificates that verify the peer. A client's default is the system's; a server with CA certificates
            refuses clients without a certificate.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def loadable(where: str, *, cert: Path | None = None, key: Path | None = None, ca: Path | None = None) -> Tls:
    """Checks that TLS can load the certificate files.

    Args:
        where: The option or setting that names them, for errors.
        cert: See `Tls`.
        key: See `Tls`.
        ca: See `Tls`.

    Raises:
        UserError: A file is missing or not PEM, or certificate and key do not match.
    """
    if (cert is None) != (key is None):
        raise UserError(f"{where}: a certificate and its key go together", fix="give both")
    for file in filter(None, (cert, key, ca)):
        if not file.is_file():
            raise UserError(f"{where}: there is no file {file}", fix="give a PEM file")
    try:
        _context(ssl.PROTOCOL_TLS_CLIENT, Tls(cert, key, ca))
    except (ssl.SSLError, OSError) as error:
        names = ", ".join(str(file) for file in (cert, key, ca) if file)
        raise UserError(f"{where}: {names} cannot be used: {error}", fix="give PEM files that match") from error
    return Tls(cert, key, ca)


def server_context(tls: Tls) -> ssl.SSLContext:
    """The SSL context of an HTTP server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.ca)
    context.verify_mode = ssl.CERT_REQUIRED if tls.ca else ssl.CERT_NONE
    return _with_own(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """The SSL context of an HTTP client."""
    return _with_own(ssl.create_default_context(cafile=tls.ca), tls)


def grpc_server_credentials(tls: Tls) -> Any:
    """The credentials of a gRPC server."""
    import grpc

    ca = _read(tls.ca)
    return grpc.ssl_server_credentials([(_read(tls.key), _read(tls.cert))], ca, require_client_auth=ca is not None)


def grpc_channel_credentials(tls: Tls) -> Any:
    """The credentials of a gRPC client."""
    import grpc

    return grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.cert))


def _context(protocol: int, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    if tls.ca:
        context.load_verify_locations(tls.ca)
    return _with_own(context, tls)


def _with_own(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    if tls.cert and tls.key:
        # Without a password argument, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    return context


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None
