"""Shared fixtures: the real taxi trips, and calls of stages through their container contract."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import TYPES, Artifact
from components.contract.signature import ports
from components.execution import stages
from components.execution.executor import execute
from tests.object_store import ObjectStore

StageRun = Callable[..., dict[str, Any]]

# Settings that must not affect the tests: Taxiway's and Git's, colours and widths, proxies, the time zone.
_NOT_OURS = re.compile(
    r"TAXIWAY_(?!INSIDE|SETUP)\w+|GIT_\w+|(FORCE|NO)_COLOR|CLICOLOR\w*|COLUMNS|LINES|TERM|TZ|CI|GITHUB_ACTIONS|\w+_proxy",
    re.IGNORECASE,
)
# Added to the user's Git settings, such as trusted folders.
_GIT = {"commit.gpgsign": "false", "tag.gpgsign": "false", "core.hooksPath": os.devnull, "core.autocrlf": "false"}


def pytest_configure() -> None:
    """Resets settings of the process that started the tests, before anything reads them."""
    os.umask(0o022)
    os.chdir(Path(__file__).parents[1])
    if sys.__stdin__ is None:  # was closed; pytest and libraries read its encoding
        sys.__stdin__ = open(os.devnull)  # type: ignore[misc]  # noqa: SIM115
    for name in filter(_NOT_OURS.fullmatch, list(os.environ)):
        del os.environ[name]
    os.environ["GIT_CONFIG_COUNT"] = str(len(_GIT))
    for number, (key, value) in enumerate(_GIT.items()):
        os.environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}


# Files that share the run of the taxi pipeline in `tests/pipelines/conftest.py`.
_OF_THE_TAXI_RUN = {
    "test_bad_input.py",
    "test_chicago_taxi.py",
    "test_chicago_taxi_artifacts.py",
    "test_chicago_taxi_model.py",
    "test_same_again.py",
}
# Slow files start first, so that no worker runs one alone at the end.
_FIRST = ("tests/pipelines/", "tests/test_docs.py", "tests/components/", "tests/taxiway/serving/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders files; the tests of a file keep their order."""
    items.sort(key=lambda item: [not item.nodeid.startswith(place) for place in _FIRST])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each worker gets whole files; all files that share the taxi pipeline's run go to the same worker."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "the taxi pipeline" if Path(file).name in _OF_THE_TAXI_RUN else str(file)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Puts temporary files of libraries and of killed processes into pytest's folder, which is removed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(scope="module", autouse=True)
def _own_object_stores() -> Iterator[None]:
    """Clears fsspec's cached file systems, which have the address of another module's stopped server."""
    yield
    if s3fs := sys.modules.get("s3fs"):
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of a real S3 API on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A boto3 resource for that server; the stages find it by AWS's own variables."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return boto3.resource("s3")


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An S3 API that can go away and come back; delta-rs and boto3 find it by AWS's own variables."""
    with closing(ObjectStore()) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.fixture(scope="session")
def taxi_csv() -> Path:
    """15,002 Chicago taxi trips, from the tfx wheel."""
    spec = importlib.util.find_spec("tfx")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "examples/chicago_taxi_pipeline/data/simple/data.csv"


def run_stage_in(
    stage_name: str,
    folder: Path,
    inputs: Mapping[str, Artifact] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Calls a stage through an ExecutorInput, as its container would, and returns its outputs by name."""
    stage = stages.load(stage_name).function
    outputs = [port for port in ports(stage) if port.direction == "output"]
    folder.mkdir(parents=True, exist_ok=True)
    output_file = folder / "executor_output.json"
    runtime = {name: _runtime(artifact) for name, artifact in (inputs or {}).items()}
    executor_input = {
        "inputs": {"parameterValues": dict(parameters or {}), "artifacts": runtime},
        "outputs": {
            "artifacts": {
                p.name: {"artifacts": [{"name": p.name, "uri": str(folder / p.name), "metadata": {}}]}
                for p in outputs
                if p.kind
            },
            "parameters": {p.name: {"outputFile": str(folder / f"{p.name}.txt")} for p in outputs if not p.kind},
            "outputFile": str(output_file),
        },
    }
    execute(stage, json.loads(json.dumps(executor_input)))
    written = json.loads(output_file.read_text())
    artifacts = {name: _artifact(found["artifacts"][0]) for name, found in written["artifacts"].items()}
    return {**artifacts, **written["parameterValues"]}


def _runtime(artifact: Artifact) -> dict[str, Any]:
    return {
        "artifacts": [
            {
                "name": artifact.type_name,
                "uri": str(artifact.path),
                "metadata": {"tfx_type": artifact.type_name, **artifact.metadata},
            }
        ]
    }


def _artifact(runtime: Mapping[str, Any]) -> Artifact:
    kind = TYPES[runtime["metadata"]["tfx_type"]]
    return kind(Path(runtime["uri"]), runtime["metadata"])


@pytest.fixture
def run_stage(tmp_path: Path) -> StageRun:
    """`run_stage(stage_name, inputs={}, parameters={}, folder=...)`: the stage's outputs by name."""

    def run(
        stage_name: str,
        inputs: Mapping[str, Artifact] | None = None,
        parameters: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> dict[str, Any]:
        return run_stage_in(stage_name, folder or tmp_path / stage_name, inputs, parameters)

    return run
