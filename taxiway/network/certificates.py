"""TLS certificate files."""

from __future__ import annotations

import ssl
from pathlib import Path

from components.contract.errors import UserError


def require_loadable(cert: Path | None, key: Path | None, ca: Path | None, where: str) -> None:
    """Refuses certificate files that TLS cannot use.

    Args:
        cert: A certificate, PEM; it goes with its key.
        key: The certificate's key, not encrypted.
        ca: Certificates of authorities.
        where: What names them, for the error.

    Raises:
        UserError: One is missing or no PEM file, or certificate and key do not belong together.
    """
    if (cert is None) != (key is None):
        raise UserError(f"{where}: a certificate and its key go together", fix="name both")
    for file in filter(None, (cert, key, ca)):
        if not file.is_file():
            raise UserError(f"{where}: there is no file {file}", fix="name a PEM file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if cert and key:
            # Without a password it would ask for one at the terminal.
            context.load_cert_chain(cert, key, password="")
        if ca:
            context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        names = ", ".join(str(file) for file in (cert, key, ca) if file)
        raise UserError(f"{where}: {names} cannot be used: {error}", fix="name PEM files that fit") from error
