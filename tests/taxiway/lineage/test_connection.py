from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as native
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.errors import ServiceError, UserError
from taxiway.lineage.connection import configuration, display_name
from taxiway.lineage.store import LineageStore


class _Service(grpc.GenericRpcHandler):
    """The gRPC metadata service over an SQLite file: requests are passed unchanged to the library."""

    def __init__(self, database: Path) -> None:
        config = configuration(str(database))
        self._store = native.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = getattr(native, details.method.rsplit("/", 1)[1])

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            response, message, code = method(self._store, request)
            if code:
                status = next(status for status in grpc.StatusCode if status.value[0] == code)
                context.abort(status, message.decode())
            return response

        return grpc.unary_unary_rpc_method_handler(call)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=1), handlers=[_Service(tmp_path / "service.db")])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()


def _recorded(connection: str, flow: Any) -> None:
    flow.record(LineageStore.open(connection), "r")


def test_the_grpc_service_records_what_sqlite_does(service, database, flow):
    _recorded(service, flow)
    _recorded(str(database), flow)
    remote, local = LineageStore.open(service), LineageStore.open(str(database))
    assert remote.artifacts() == local.artifacts()
    assert [(run.id, run.tasks, run.pushed) for run in remote.runs()] == [
        (run.id, run.tasks, run.pushed) for run in local.runs()
    ]


def test_an_unreachable_service_is_reported():
    with pytest.raises(ServiceError, match=r"grpc://127\.0\.0\.1:1 failed: UnavailableError"):
        LineageStore.open("grpc://127.0.0.1:1", delays=[0.0])


def test_an_unreachable_mysql_server_is_reported_without_its_password():
    with pytest.raises(ServiceError) as raised:
        LineageStore.open("mysql://ann:secret@127.0.0.1:1/lineage")
    assert "mysql://ann:***@127.0.0.1:1/lineage does not answer" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_mysql_settings_come_from_the_url():
    mysql = configuration("mysql://ann:p%40ss@db.example/lineage").mysql
    assert (mysql.host, mysql.port, mysql.user, mysql.password, mysql.database) == (
        "db.example",
        3306,
        "ann",
        "p@ss",
        "lineage",
    )


def test_grpc_settings_come_from_the_url():
    config = configuration("grpc://metadata-grpc-service.kubeflow")
    assert (config.host, config.port) == ("metadata-grpc-service.kubeflow", 8080)


@pytest.mark.parametrize("connection", ["postgres://db/lineage", "grpc://", "grpc://host:http"])
def test_an_unknown_scheme_is_refused_with_the_known_ones(connection):
    with pytest.raises(UserError, match=r"is not a lineage store\n  fix: .*mysql://user:password@host:port/database"):
        LineageStore.open(connection)


def test_display_name_does_not_change_paths():
    assert display_name("a:b@c/lineage.db") == "a:b@c/lineage.db"


def _recorded_file(database: Path) -> bytes:
    store = LineageStore.open(str(database))
    for number in range(50):
        store.start_run(f"r{number}", "p", {"text": "x" * 200}, datetime.now(UTC))
    del store  # closes the file, so SQLite merges the write-ahead log
    return database.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"not a database at all " * 500,
        lambda content: content[: len(content) // 3],
        lambda content: content[:100] + random.Random(1).randbytes(len(content) - 100),
        lambda content: content[: len(content) // 2] + random.Random(1).randbytes(len(content) - len(content) // 2),
    ],
    ids=["text", "cut", "all pages", "later pages"],
)
def test_a_corrupt_file_is_refused_with_a_fix(database, damage):
    damaged = damage(_recorded_file(database))
    database.write_bytes(damaged)
    with pytest.raises(UserError) as raised:
        LineageStore.open(str(database)).runs()
    assert re.search(
        rf"the lineage store {database} is damaged or not an SQLite file \(.*(malformed|not a database).*\)",
        str(raised.value),
    )
    assert f"mv {database} {database}.damaged" in str(raised.value)
    assert "CREATE TABLE" not in str(raised.value)
    assert database.read_bytes() == damaged


def test_a_file_with_another_schema_version_is_refused(database):
    _recorded_file(database)
    with sqlite3.connect(database) as other:
        other.execute("UPDATE MLMDEnv SET schema_version = 99")
    other.close()
    with pytest.raises(UserError, match=r"another version of ML Metadata .*version 99 is greater"):
        LineageStore.open(str(database))


def test_a_path_where_no_file_can_be_created_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be opened for writing \(.*unable to open database file\)"):
        LineageStore.open(str(tmp_path / "file" / "lineage.db"))
