"""Opens ML Metadata: an SQLite file, a MySQL database, or the gRPC metadata service."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ml_metadata import errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.commands import typed
from components.contract.errors import ServiceError, TaxiwayError, UserError

_GRPC_SECONDS = 30
_PORTS = {"mysql": 3306, "grpc": 8080}
_DAMAGED = ("malformed", "not a database")
_UNUSABLE = ("unable to open database", "readonly database")
_VERSION = "MLMD database version"
_BUSY = ("subset of tables", "Concurrent", "locked", "busy")


class _Store(MetadataStore):
    """MetadataStore without its own retries, which log harmless errors and wait two seconds at a time."""

    def _call(self, method_name: str, request: Any, response: Any, extra_options: Any = None) -> None:
        del extra_options
        self._call_method(method_name, request, response)


def configuration(connection: str) -> pb.ConnectionConfig | pb.MetadataStoreClientConfig:
    """ML Metadata's configuration for a connection; see `connect`."""
    if "://" not in connection:
        return _sqlite(Path(connection))
    url, port = _address(connection)
    if url.scheme == "grpc":
        return pb.MetadataStoreClientConfig(host=url.hostname, port=port, client_timeout_sec=_GRPC_SECONDS)
    return pb.ConnectionConfig(mysql=_mysql(url, port))


def connect(connection: str) -> MetadataStore:
    """Opens a store, without retries.

    Args:
        connection: The path of an SQLite file (created if missing), `mysql://user:password@host:port/database`
            (with characters such as `@` in the password escaped, `%40`), or `grpc://host:port`.

    Raises:
        UserError: The file is damaged, not writable, or from another version of ML Metadata; or the scheme is unknown.
        AbortedError: Another process is using the file; retry.
        ServiceError: The server does not answer.
    """
    config = configuration(connection)
    if "://" not in connection:
        _prepare(Path(connection))
    try:
        return _Store(config)
    except RuntimeError as error:
        raise _opening_error(connection, str(error)) from error


def display_name(connection: str) -> str:
    """The connection without its password."""
    url = urlsplit(connection)
    return connection.replace(f":{url.password}@", ":***@") if "://" in connection and url.password else connection


def explained(connection: str, text: str) -> TaxiwayError | None:
    """Explains an error of the store that is caused by its file; None for any other error."""
    name = display_name(connection)
    # The reason is between the library's preamble and the failed statement.
    reason = text.removeprefix("Error when executing query: ").split("query:")[0].strip()
    if any(word in text for word in _DAMAGED):
        return UserError(
            f"the lineage store {name} is damaged or not an SQLite file ({reason})",
            fix=f"move it away: {typed('mv', name, f'{name}.damaged')}; the next run creates a new one, "
            "and artifacts keep their chains in provenance.json",
        )
    if any(word in text for word in _UNUSABLE):
        return UserError(
            f"the lineage store {name} cannot be opened for writing ({reason})",
            fix="make its folder and file writable, or set TAXIWAY_LINEAGE to another store",
        )
    if _VERSION in text:
        return UserError(
            f"the lineage store {name} was written by another version of ML Metadata ({reason.split('. ')[0]})",
            fix="use the version of ml-metadata that wrote it, or set TAXIWAY_LINEAGE to another store",
        )
    return None


def _address(connection: str) -> tuple[SplitResult, int]:
    with contextlib.suppress(ValueError):  # an invalid port
        url = urlsplit(connection)
        if url.scheme in _PORTS and url.hostname:
            return url, url.port or _PORTS[url.scheme]
    raise UserError(
        f"{display_name(connection)!r} is not a lineage store",
        fix="give the path of an SQLite file, mysql://user:password@host:port/database, or grpc://host:port",
    )


def _sqlite(path: Path) -> pb.ConnectionConfig:
    mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return pb.ConnectionConfig(sqlite=pb.SqliteMetadataSourceConfig(filename_uri=str(path), connection_mode=mode))


def _prepare(path: Path) -> None:
    """Creates the folder, and a new file with a write-ahead log, so that a commit waits for the disk once, not 4 times.

    Failures are ignored here: ML Metadata then fails to open the file, and that error carries a fix.
    """
    with contextlib.suppress(OSError, sqlite3.Error):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA journal_mode = WAL")


def _mysql(url: SplitResult, port: int) -> pb.MySQLDatabaseConfig:
    return pb.MySQLDatabaseConfig(
        host=url.hostname,
        port=port,
        database=unquote(url.path.strip("/")),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
    )


def _opening_error(connection: str, text: str) -> Exception:
    if any(word in text for word in _BUSY):
        # A file that another process is initializing looks like one that lost its tables.
        damage = _damage(connection)
        return explained(connection, damage) or errors.AbortedError(text)
    return explained(connection, text) or ServiceError(
        f"the lineage store {display_name(connection)} does not answer ({text.strip()})",
        fix="start its server, or correct TAXIWAY_LINEAGE",
    )


def _damage(path: str) -> str:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else f"malformed: {found}"
