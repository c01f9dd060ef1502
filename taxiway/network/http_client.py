"""The HTTP client of synchronous code: urllib3, which every environment already has."""

from __future__ import annotations

import urllib3

from taxiway.network.tls import Tls, client_context


def pool(tls: Tls | None = None, seconds: float | None = None) -> urllib3.PoolManager:
    """A connection pool.

    It does not retry, which is up to the caller, and ignores the environment's proxies, which are meant for the web.
    Send requests with `redirect=False`, because redirects lead to login pages.

    Args:
        tls: Certificates of the client and for verifying servers; None for the system's CA certificates.
        seconds: Timeout for connecting, and for each read; None for no timeout.
    """
    return urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(connect=seconds, read=seconds),
        ssl_context=client_context(tls or Tls()),
    )
