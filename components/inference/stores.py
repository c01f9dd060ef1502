"""Where tables are: how long an object store is waited for, and what is said if it is away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from components.contract.errors import ServiceError

_PATIENCE = {"timeout": "30s", "connect_timeout": "5s", "max_retries": "3", "retry_timeout": "60s"}
"""Of requests to an object store: a closed port is an error after a second, one that hangs after a minute or two."""

_MOST = 400
# delta-rs writes an error and its causes as a tree, one a line, in colours, with its settings of retries.
_LAYOUT = re.compile(r"\x1b\[[\d;]*m|↳|<\?xml[^>]*>")
_XML = re.compile(r"<Error>.*?<Code>(.*?)</Code>.*?<Message>(.*?)</Message>.*?</Error>", re.DOTALL)
_NOISE = re.compile(
    r"Kernel error -> |Generic error: | in [\d.]+\S*s(, after \d+ retries, max_retries: \d+, retry_timeout: \S+)?"
)


def options(place: str) -> dict[str, str] | None:
    """The options of a table's object store, None in a folder; the rest comes from the environment (AWS_...)."""
    if "://" not in str(place):
        return None
    # Whoever names an address without TLS means it.
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {**_PATIENCE, **({"allow_http": "true"} if plain else {})}


def opened(place: str, version: int | None = None) -> DeltaTable | None:
    """A table; None if it does not exist yet.

    Args:
        place: The table's folder or URL.
        version: Its version; None for the newest.

    Raises:
        ServiceError: The store is away.
    """
    with reached(place):
        try:
            return DeltaTable(place, version=version, storage_options=options(place))
        except TableNotFoundError:
            return None


@contextmanager
def reached(place: str) -> Iterator[None]:
    """Raises what a store raises that is away, is full or refuses as a ServiceError.

    Args:
        place: The table, or the folder or URL with several.
    """
    try:
        yield
    except (OSError, DeltaError) as error:
        raise ServiceError(f"{place} cannot be read or written: {reason(error)}", fix=_fix(str(place))) from error


def reason(error: Exception) -> str:
    """An error of delta-rs on one line, with the last cause, which says most."""
    said = _XML.sub(r"\1: \2", _LAYOUT.sub("", str(error)))
    lines = (line.strip() for line in said.splitlines())
    text = _NOISE.sub("", ": ".join(filter(None, lines)))
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]} ... {text[-_MOST // 2 :]}"


def _fix(place: str) -> str:
    if "://" in place:
        return (
            "see that the store answers, that the bucket is there, and that AWS_ENDPOINT_URL, region and keys are right"
        )
    return "see that the disk is there and has room, and that its files may be read and written"
