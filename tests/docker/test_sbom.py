"""The output of `make sbom`; the engine runs the image's programs as processes of this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from components import __version__
from components.contract.digests import file_digest
from components.execution.provenance import code_commit
from tests import scripts
from tests.taxiway.runner.process_engine import Containers, image, process_engine

ROOT = Path(__file__).parents[2]
LABEL = "org.opencontainers.image."
IMAGE = "ab" * 32


def _sbom() -> ModuleType:
    return scripts.load(ROOT / "docker/sbom.py")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    """An engine with the pusher's image, which has two Debian packages."""
    program = tmp_path / "bin/dpkg-query"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'libc6\\t2.41-12\\tamd64\\nlibstdc++6\\t14.2.0-19\\tamd64\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{Path(sys.executable).parent}:/usr/bin:/bin")
    labels = {
        f"{LABEL}revision": code_commit()["commit"] + "+",
        f"{LABEL}base.name": "debian:trixie-slim",
        f"{LABEL}base.digest": f"sha256:{'cd' * 32}",
    }
    with process_engine() as (containers, url):
        containers.images = {f"taxiway-serve:{__version__}": image(IMAGE, labels=labels)}
        monkeypatch.setenv("DOCKER_HOST", url)
        yield containers


def _written(folder: Path) -> dict[str, dict[str, Any]]:
    _sbom().main(folder)
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def test_each_existing_image_has_its_two_documents(engine: Containers, tmp_path: Path) -> None:
    assert _written(tmp_path / "sbom").keys() == {"taxiway-serve.cdx.json", "taxiway-serve.provenance.json"}
    assert engine.existing == {}


def test_a_bill_of_materials_is_cyclonedx_and_names_every_package(engine: Containers, tmp_path: Path) -> None:
    bill = _written(tmp_path / "sbom")["taxiway-serve.cdx.json"]
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    itself = bill["metadata"]["component"]
    assert itself["hashes"] == [{"alg": "SHA-256", "content": IMAGE}]
    assert itself["purl"] == f"pkg:oci/taxiway-serve@sha256%3A{IMAGE}?tag={__version__}"
    found = {each["purl"] for each in bill["components"]}
    assert "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13" in found
    assert "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13" in found
    assert f"pkg:pypi/pyyaml@{version('pyyaml')}" in found
    assert f"pkg:pypi/typing-extensions@{version('typing_extensions')}" in found
    for each in bill["components"]:
        assert each["type"] == "library"
        assert each["name"]
        assert each["version"]
    references = [each["bom-ref"] for each in (itself, *bill["components"])]
    assert len(references) == len(set(references))


def test_a_bill_of_materials_names_the_licence_of_nearly_every_python_package(
    engine: Containers, tmp_path: Path
) -> None:
    bill = _written(tmp_path / "sbom")["taxiway-serve.cdx.json"]
    found = {each["name"]: each.get("licenses") for each in bill["components"] if "pypi" in each["purl"]}
    assert sum(map(bool, found.values())) > 0.95 * len(found) > 100
    assert found["typing_extensions"] == [{"expression": "PSF-2.0"}]
    assert found["tensorflow"] == [{"license": {"name": "Apache Software License"}}]


@pytest.mark.parametrize(
    ("text", "found"), [("MIT", [{"license": {"name": "MIT"}}]), ("MIT License\n\nCopyright", []), ("", [])]
)
def test_a_licence_is_read_from_the_packages_metadata(text: str, found: list[dict[str, Any]]) -> None:
    metadata = {"License-Expression": [], "Classifier": ["Topic :: Database"], "License": [text]}
    assert _sbom()._licences(metadata) == found


def test_the_provenance_is_an_in_toto_statement_of_slsa(engine: Containers, tmp_path: Path) -> None:
    document = _written(tmp_path / "sbom")["taxiway-serve.provenance.json"]
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert document["subject"] == [{"name": f"taxiway-serve:{__version__}", "digest": {"sha256": IMAGE}}]
    # Rejects fields that SLSA does not have.
    provenance = json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())
    definition = provenance.build_definition
    assert definition.external_parameters["target"] == "serve"
    assert definition.internal_parameters["modified"] is True
    digests = {each.name or each.uri: dict(each.digest) for each in definition.resolved_dependencies}
    assert digests["git+file:."] == {"gitCommit": code_commit()["commit"]}
    assert digests["debian:trixie-slim"] == {"sha256": "cd" * 32}
    for name in ("docker/Dockerfile", "requirements.lock", "docker/packages/serve.txt"):
        assert digests[name] == {"sha256": file_digest(ROOT / name).removeprefix("sha256:")}
    assert provenance.run_details.builder.id
    assert provenance.run_details.metadata.finished_on.ToJsonString().startswith("2026-01-02T03:04:05")


def test_an_image_of_another_commit_is_refused(
    engine: Containers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [known] = engine.images.values()
    known["Config"]["Labels"][f"{LABEL}revision"] = "0" * 40
    with pytest.raises(SystemExit) as caught:
        _sbom().main(tmp_path / "sbom")
    assert caught.value.code == 2
    here = code_commit()["commit"]
    expected = f"error: taxiway-serve was built from the commit {'0' * 40}, and {here} is checked out\n"
    assert capsys.readouterr().err == f"{expected}  fix: make images\n"
    assert not (tmp_path / "sbom").exists()


def test_a_missing_image_is_reported(engine: Containers, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.images.clear()
    with pytest.raises(SystemExit):
        _sbom().main(tmp_path / "sbom")
    assert "the engine has no image taxiway-*:" in capsys.readouterr().err


def test_a_missing_engine_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SystemExit) as caught:
        _sbom().main(tmp_path / "sbom")
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: no container engine answers at unix://")
