"""The HTTP client of what is not asynchronous: urllib3, which every environment has already."""

from __future__ import annotations

import urllib3

from taxiway.network.tls import Tls, client_context


def pool(tls: Tls | None = None, seconds: float | None = None) -> urllib3.PoolManager:
    """Connections that are kept.

    It does not try again, which whoever asks decides, and takes no proxy that the environment names, which is for web
    pages. Ask with `redirect=False`: redirects lead to a page to log in at.

    Args:
        tls: How servers are checked, and what the client shows them; None for the system's CA certificates.
        seconds: How long a connection, and then each part of an answer, may take; None for no limit.
    """
    return urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(connect=seconds, read=seconds),
        ssl_context=client_context(tls or Tls()),
    )
