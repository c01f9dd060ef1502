"""The checks of DVC remotes and model stores in `taxiway doctor`: real ones in folders and on a real S3 server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from taxiway.doctor import laptop, stores
from taxiway.doctor.findings import Line, State, Use
from taxiway.doctor.requirements import Task
from tests.taxiway.doctor.doctor_servers import refusing, serving


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    created = boto3.resource("s3", endpoint_url=s3_server).create_bucket(Bucket=f"data-{time.monotonic_ns()}")
    yield str(created.name)
    created.objects.delete()
    created.delete()


def repository(folder: Path, **remote: Any) -> Path:
    """A DVC repository with one default remote."""
    with Repo.init(str(folder), no_scm=True) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "store"
        config["remote"] = {"store": remote}
    return folder


def remote_line(folder: Path) -> Line:
    [check] = [check for check in laptop.checks(Use(folder)) if check.name == "DVC remote"]
    [line] = check.look()
    return line


def test_an_accessible_folder_passes(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "repo").mkdir()
    line = remote_line(repository(tmp_path / "repo", url=str(tmp_path / "store")))
    assert line.state is State.OK
    assert str(tmp_path / "store") in line.found


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    line = remote_line(repository(tmp_path / "repo", url=str(tmp_path / "unplugged")))
    assert line.state is State.MISSING
    assert line.found.endswith("unplugged: it does not exist")
    assert line.fix == "dvc remote modify store url URL"


def test_an_empty_bucket_passes(tmp_path: Path, bucket: str, s3_server: str) -> None:
    line = remote_line(repository(tmp_path, url=f"s3://{bucket}/new/folder", endpointurl=s3_server))
    assert line == Line("DVC remote", State.OK, f"store: s3://{bucket}/new/folder")


def test_a_missing_bucket_is_reported(tmp_path: Path, bucket: str, s3_server: str) -> None:
    line = remote_line(repository(tmp_path, url="s3://nobodys/folder", endpointurl=s3_server))
    assert line.state is State.MISSING
    assert "bucket does not exist" in line.found


def test_an_unreachable_store_is_reported(tmp_path: Path, bucket: str) -> None:
    url = refusing()
    line = remote_line(repository(tmp_path, url=f"s3://{bucket}", endpointurl=url))
    assert line.state is State.MISSING
    assert url in line.found


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_denies_access_is_reported(tmp_path: Path, bucket: str, status: int) -> None:
    with serving() as server:
        server.answers = dict.fromkeys(
            [f"/{bucket}?list-type=2&prefix=&delimiter=%2F&encoding-type=url", f"/{bucket}"], (status, b"")
        )
        line = remote_line(repository(tmp_path, url=f"s3://{bucket}", endpointurl=server.url))
    assert line.state is State.MISSING


def test_a_server_that_is_not_s3_is_reported(tmp_path: Path, bucket: str) -> None:
    with serving() as server:
        line = remote_line(repository(tmp_path, url=f"s3://{bucket}", endpointurl=server.url))
    assert line.state is State.MISSING


def test_credentials_in_a_remote_are_not_shown(tmp_path: Path) -> None:
    line = remote_line(repository(tmp_path, url=refusing().replace("http://", "http://me:secret@")))
    assert line.state is State.MISSING
    assert "secret" not in line.found


@pytest.mark.parametrize(("status", "state"), [(404, State.OK), (401, State.OK), (502, State.MISSING)])
def test_an_http_remote_is_checked(tmp_path: Path, status: int, state: State) -> None:
    with serving() as server:
        server.answers = {"/store": (status, b"")}
        assert remote_line(repository(tmp_path, url=f"{server.url}/store")).state is state


def test_a_missing_remote_or_repository_is_not_a_failure(tmp_path: Path) -> None:
    line = remote_line(tmp_path)
    assert (line.state, line.fix) == (State.ABSENT, "dvc init")
    with Repo.init(str(tmp_path), no_scm=True):
        pass
    line = remote_line(tmp_path)
    assert (line.state, line.found) == (State.ABSENT, "none is configured")
    assert line.fix == "dvc remote add --default NAME URL"


def test_an_invalid_dvc_configuration_is_reported(tmp_path: Path) -> None:
    repository(tmp_path, url="s3://x")
    (tmp_path / ".dvc/config").write_text("[core\nremote")
    line = remote_line(tmp_path)
    assert (line.state, line.fix) == (State.MISSING, "dvc remote list")


# Model stores


def store_lines(*destinations: str, claims: dict[str, str] | None = None, **use: Any) -> list[Line]:
    tasks = tuple(Task(f"push-{url}", {}, {}, (), claims or {}, (), url, {}) for url in destinations)
    [check] = stores.checks(Use(Path.cwd(), tasks=tasks, **use))
    return check.look()


def test_each_destination_has_a_line_with_its_driver() -> None:
    assert store_lines("s3://models/taxi", "gs://models/taxi", "s3://models/taxi", "served", "") == [
        Line("model store", State.OK, "s3://models/taxi: s3fs is installed"),
        Line("model store", State.OK, "gs://models/taxi: gcsfs is installed"),
        Line("model store", State.OK, "served: a folder"),
    ]


def test_a_missing_driver_is_reported() -> None:
    [line] = store_lines("abfs://models/taxi")
    assert line.state is State.MISSING
    assert line.found.startswith("abfs://models/taxi: ")
    assert "adlfs" in line.fix


def test_an_unknown_scheme_is_reported() -> None:
    [line] = store_lines("s4://models")
    assert (line.state, line.fix) == (State.MISSING, "give a folder, s3:// or gs://")


def test_a_folder_inside_a_pod_is_not_a_store() -> None:
    [line] = store_lines("served/taxi", namespace="ml")
    assert line.state is State.WARNING
    assert line.found == "served/taxi is a folder in a pod and is lost with it"
    assert line.fix == "use an object store: --param destination=s3://BUCKET/MODELS"


def test_a_folder_of_a_mounted_volume_is_a_store() -> None:
    assert store_lines("/store/taxi", claims={"/store": "models"}, namespace="ml")[0].state is State.OK
    assert store_lines("/storeroom", claims={"/store": "models"}, namespace="ml")[0].state is State.WARNING
