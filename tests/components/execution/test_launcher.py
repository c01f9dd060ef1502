"""Runs stages like Kubeflow's launcher: with its documents, and artifacts in an object store at minio://.

Source: kubeflow/pipelines, backend/src/v2/component/launcher_v2.go (documents, local paths, what is read back) and
backend/src/v2/objectstore/object_store.go (which files are uploaded and downloaded).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorInput, ExecutorOutput

from components.contract.artifacts import Artifact
from components.contract.digests import tree_digest
from components.contract.signature import Port
from components.execution import executor, provenance, stages
from components.execution.pushed_models import open_destination, versions
from components.reports import stage_report
from components.versioning.data_versions import describe, resolve
from tests.components.models import make_history, make_model

Json = dict[str, Any]


@pytest.fixture
def bucket(aws: Any) -> Iterator[Any]:
    """An empty bucket for Kubeflow."""
    created = aws.create_bucket(Bucket="mlpipeline")
    yield created
    created.objects.delete()
    created.delete()


class Launcher:
    """Does what Kubeflow's launcher does for a stage; each task has its own file system."""

    def __init__(self, bucket: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bucket, self._folder, self._patch = bucket, folder, monkeypatch

    def run(self, stage: str, inputs: Mapping[str, Json] = {}, **parameters: Any) -> dict[str, Json]:
        """Runs a stage and returns its output artifacts as the metadata store would pass them on."""
        root = self._folder / stage
        # The launcher mounts folders in the root directory, where not every user may create them.
        mounts = {scheme: f"{root}{mount}" for scheme, mount in executor._MOUNTS.items()}
        document = self._document(root, stage, inputs, parameters)
        with self._patch.context() as patch:
            patch.setattr(executor, "_MOUNTS", mounts)
            for artifact in inputs.values():
                self._download(artifact["uri"], executor.local_path(artifact["uri"]))
            self._make_output_folders(document)
            found = stages.load(stage)
            written = json.loads(json_format.MessageToJson(document))
            executor.execute(found.function, written, stage_report.writer(found) if found.has_report else None)
            # As strict as the launcher, which refuses unknown fields.
            written = json_format.Parse(Path(document.outputs.output_file).read_text(), ExecutorOutput())
            return {name: self._passed_on(name, found, document) for name, found in written.artifacts.items()}

    def upload(self, name: str, artifact: Artifact) -> Json:
        """An artifact from an earlier task."""
        uri = f"minio://mlpipeline/v2/artifacts/taxi/run-1/earlier/{name}"
        self._upload(artifact.path, _key(uri))
        return {"name": "7", "uri": uri, "metadata": {key: _stored(value) for key, value in artifact.metadata.items()}}

    def _document(self, root: Path, stage: str, inputs: Mapping[str, Json], parameters: Json) -> ExecutorInput:
        outputs = [port for port in stages.load(stage).ports if port.direction == "output"]
        document = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {name: {"artifacts": [artifact]} for name, artifact in inputs.items()},
            },
            "outputs": {
                "artifacts": {
                    port.name: {"artifacts": [_declared_artifact(stage, port)]} for port in outputs if port.kind
                },
                "parameters": {
                    port.name: {"outputFile": f"{root}/tmp/kfp/outputs/{port.name}"}
                    for port in outputs
                    if not port.kind
                },
                "outputFile": f"{root}/tmp/kfp_outputs/output_metadata.json",
            },
        }
        return json_format.ParseDict(document, ExecutorInput())

    def _make_output_folders(self, document: ExecutorInput) -> None:
        paths = [Path(parameter.output_file) for parameter in document.outputs.parameters.values()]
        paths += [executor.local_path(a.artifacts[0].uri) for a in document.outputs.artifacts.values()]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def _download(self, uri: str, folder: Path) -> None:
        for found in self._bucket.objects.filter(Prefix=_key(uri)):
            # The zero-byte marker `assets/` becomes an empty file `assets`.
            path = folder / found.key.removeprefix(_key(uri)).strip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._bucket.download_file(found.key, str(path))

    def _upload(self, folder: Path, key: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self._bucket.upload_file(str(path), f"{key}/{path.relative_to(folder)}")

    def _passed_on(self, name: str, found: Any, document: ExecutorInput) -> Json:
        uri = found.artifacts[0].uri
        assert uri == document.outputs.artifacts[name].artifacts[0].uri
        self._upload(executor.local_path(uri), _key(uri))
        metadata = json_format.MessageToDict(found.artifacts[0].metadata)
        kept = {key: _stored(value) for key, value in metadata.items()}
        return {"name": "7", "uri": uri, "metadata": {**kept, "store_session_info": '{"Provider": "minio"}'}}


def _declared_artifact(stage: str, port: Port) -> Json:
    assert port.kind
    return {
        "name": port.name,
        "uri": f"minio://mlpipeline/v2/artifacts/taxi/run-1/{stage}/0f0c5a4e/{port.name}",
        "type": {"schemaTitle": port.kind.schema_title, "schemaVersion": "0.0.1"},
    }


def _key(uri: str) -> str:
    return uri.removeprefix("minio://mlpipeline/")


def _stored(value: Any) -> Any:
    """ML Metadata has no booleans, and Kubeflow passes every number as a double."""
    return float(value) if isinstance(value, int | float) else value


@pytest.fixture
def launcher(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    return Launcher(bucket, tmp_path / "pods", monkeypatch)


def _keys(bucket: Any, artifact: Json) -> list[str]:
    start = _key(artifact["uri"]) + "/"
    return [found.key.removeprefix(start) for found in bucket.objects.filter(Prefix=start)]


def _chain(artifact: Json, folder: Path, bucket: Any) -> list[str]:
    """The stages that an artifact comes from, according to the bucket and the artifact's metadata alone."""
    folder.mkdir()
    for key in _keys(bucket, artifact):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(f"{_key(artifact['uri'])}/{key}", str(folder / key))
    return [record["stage"] for record in provenance.chain(Artifact(folder, artifact["metadata"]))]


def test_stages_pass_artifacts_on_through_the_object_store(
    launcher: Launcher, bucket: Any, taxi_csv: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text("".join(taxi_csv.read_text().splitlines(keepends=True)[:300]))
    outputs = launcher.run("example_gen", input_path=str(tmp_path / "data.csv"), allow_unversioned=True)
    examples = outputs["examples"]
    keys = _keys(bucket, examples)
    assert {key.partition("/")[0] for key in keys} == {"Split-train", "Split-eval", "provenance.json"}
    statistics = launcher.run("statistics_gen", {"examples": examples})["statistics"]
    # The download equals the upload.
    record = json.loads(statistics["metadata"]["provenance"])
    assert record["inputs"] == {"examples": examples["metadata"]["digest"]}
    schema = launcher.run("schema_gen", {"statistics": statistics})["schema"]
    # TFX opens the only file in the folder.
    assert _keys(bucket, schema) == ["schema.pbtxt"]
    assert _chain(schema, tmp_path / "schema", bucket) == ["schema_gen", "statistics_gen", "example_gen"]


def test_a_model_is_pushed_from_the_object_store(launcher: Launcher, tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path / "history")
    # Object stores have no empty folders: the upload has none, but must count as the same model.
    assert not list((model.path / "Format-Serving/assets").iterdir())
    inputs = {"model": launcher.upload("model", model), "blessing": launcher.upload("blessing", blessing)}
    pushed = launcher.run("pusher", inputs, destination=str(tmp_path / "served"), version=3)["pushed_model"]
    assert pushed["metadata"]["pushed"] == 1
    assert tree_digest(tmp_path / "served/3") == pushed["metadata"]["pushed_digest"]


# Zero-byte markers: object stores' consoles and TensorFlow's own drivers create folders this way


def test_a_model_with_the_marker_of_an_empty_folder_is_pushed(launcher: Launcher, bucket: Any, tmp_path: Path) -> None:
    model = launcher.upload("model", make_model(tmp_path / "model"))
    bucket.put_object(Key=f"{_key(model['uri'])}/Format-Serving/assets/", Body=b"")
    launcher.run("pusher", {"model": model}, destination=str(tmp_path / "served"), version=3)
    assert (tmp_path / "served/3/saved_model.pb").is_file()


def test_markers_in_a_bucket_are_neither_versions_nor_files(bucket: Any, launcher: Launcher, tmp_path: Path) -> None:
    url = "s3://mlpipeline/served/taxi"
    model = launcher.upload("model", make_model(tmp_path / "model"))
    launcher.run("pusher", {"model": model}, destination=url, version=3)
    for marker in ("", "4/", "3/", "3/variables/"):
        bucket.put_object(Key=f"served/taxi/{marker}", Body=b"")
    [version] = [version for version in versions(open_destination(url)) if version.is_whole()]
    assert version.name == "3"
    assert version.is_intact(version.recorded_digest())
    version.fetch(tmp_path / "fetched")
    assert (tmp_path / "fetched/variables").is_dir()


def test_markers_of_folders_are_not_data(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Key="trips/", Body=b"")
    bucket.put_object(Key="trips/2026/", Body=b"")
    bucket.put_object(Key="trips/2026/data.csv", Body=b"fare\n1\n")
    described = describe("s3://mlpipeline/trips", allow_unversioned=True)
    with resolve("s3://mlpipeline/trips", allow_unversioned=True) as version:
        assert [file.name for file in version.files] == ["data.csv"]
    bucket.Object("trips/2026/").delete()
    assert describe("s3://mlpipeline/trips", allow_unversioned=True) == described
