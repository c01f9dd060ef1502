"""Writes an SBOM and a provenance statement for each image.

    bin/python docker/sbom.py [FOLDER]        build/sbom by default

For each existing image, `<image>.cdx.json` is a CycloneDX 1.6 bill of materials of its Debian and Python packages, as
listed in the image's own package databases, and `<image>.provenance.json` is an in-toto statement with its SLSA 1
provenance. Both identify the image by the digest of its configuration, the engine's image id. Neither is signed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from components import __version__
from components.contract.commands import typed
from components.contract.digests import file_digest
from components.contract.errors import TaxiwayError, UserError
from components.execution.provenance import code_commit
from components.processes import container_engine
from taxiway.runner import engine

ROOT = Path(__file__).parents[1]
KINDS = ("serve", "data", "train", "train-gpu")
_LABEL = "org.opencontainers.image."

# Runs in the container, and prints one line of JSON.
_LIST = """
import importlib.metadata, json, subprocess
fields = "${Package}\\t${Version}\\t${Architecture}\\n"
debian = subprocess.run(["dpkg-query", "--show", "--showformat", fields], capture_output=True, text=True, check=True)
print(json.dumps({
    "deb": [line.split("\\t") for line in debian.stdout.splitlines()],
    "pypi": sorted([d.name, d.version, {key: d.metadata.get_all(key, [])
                                        for key in ("License-Expression", "Classifier", "License")}]
                   for d in importlib.metadata.distributions()),
}))
"""

Json = dict[str, Any]


def bill(client: docker.DockerClient, name: str, image: Image) -> Json:
    """The CycloneDX document of an image."""
    printed = client.containers.run(
        image.id,
        ["-c", _LIST],
        entrypoint="python",
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
    )
    found = json.loads(printed)
    itself = {
        "type": "container",
        "bom-ref": name,
        "name": name,
        "version": __version__,
        "hashes": [{"alg": "SHA-256", "content": _digest(image)}],
        "purl": f"pkg:oci/{name}@{quote(f'sha256:{_digest(image)}', safe='')}?tag={__version__}",
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": [*_debian(found["deb"]), *_python(found["pypi"])],
    }


def _debian(packages: list[list[str]]) -> Iterator[Json]:
    for name, version, architecture in packages:
        purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={architecture}&distro=debian-13"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _python(packages: list[tuple[str, str, dict[str, list[str]]]]) -> Iterator[Json]:
    for name, version, metadata in packages:
        purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{quote(version, safe='')}"
        found = _licences(metadata)
        licences = {"licenses": found} if found else {}
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, **licences}


def _licences(metadata: dict[str, list[str]]) -> list[Json]:
    """The licences of a package: its SPDX expression, else its classifiers, else its own words if they are a name."""
    if expressions := metadata["License-Expression"]:
        return [{"expression": expressions[0]}]
    names = [each.rpartition(" :: ")[2] for each in metadata["Classifier"] if each.startswith("License :: ")]
    # Some packages put the whole text of the licence here.
    names = names or [text for text in metadata["License"] if text and "\n" not in text]
    return [{"license": {"name": name}} for name in names]


def provenance(name: str, image: Image) -> Json:
    """The in-toto statement of an image: what it was built from.

    Raises:
        UserError: It was built from a commit other than the one checked out.
    """
    labels: dict[str, str] = image.labels
    files = ["docker/Dockerfile", "requirements.lock", "docker/packages"]
    digests = {path: digest for each in files for path, digest in _file_digests(each)}
    materials = [{"name": path, "digest": {"sha256": digest}} for path, digest in sorted(digests.items())]
    commit, here = labels.get(f"{_LABEL}revision", ""), code_commit()["commit"]
    if commit.removesuffix("+") != here:
        raise UserError(
            f"{name} was built from the commit {commit}, and {here} is checked out", fix=typed("make images")
        )
    source = {"uri": "git+file:.", "digest": {"gitCommit": commit.removesuffix("+")}} if commit else None
    base_digest = labels.get(f"{_LABEL}base.digest", "").removeprefix("sha256:")
    base = {"uri": labels.get(f"{_LABEL}base.name", ""), "digest": {"sha256": base_digest}} if base_digest else None
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"{name}:{__version__}", "digest": {"sha256": _digest(image)}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:taxiway:docker-images:1",
                "externalParameters": {"dockerfile": "docker/Dockerfile", "target": name.removeprefix("taxiway-")},
                # With uncommitted changes, the commit alone does not determine what was built.
                "internalParameters": {"modified": commit.endswith("+")},
                "resolvedDependencies": [*filter(None, [source, base]), *materials],
            },
            "runDetails": {
                "builder": {"id": "urn:taxiway:docker-images"},
                "metadata": {"finishedOn": image.attrs["Created"]},
            },
        },
    }


def _file_digests(name: str) -> Iterator[tuple[str, str]]:
    path = ROOT / name
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        yield str(file.relative_to(ROOT)), file_digest(file).removeprefix("sha256:")


def _digest(image: Image) -> str:
    return str(image.id).removeprefix("sha256:")


def documents(client: docker.DockerClient) -> dict[str, Json]:
    """Both documents for every image of this version in the engine, by file name.

    Raises:
        UserError: There is none, or one was built from another commit.
    """
    found: dict[str, Json] = {}
    for kind in KINDS:
        name = f"taxiway-{kind}"
        try:
            image = client.images.get(f"{name}:{__version__}")
        except ImageNotFound:
            continue
        found |= {f"{name}.cdx.json": bill(client, name, image), f"{name}.provenance.json": provenance(name, image)}
    if not found:
        raise UserError(f"the engine has no image taxiway-*:{__version__}", fix=typed("make images"))
    return found


def main(folder: Path) -> None:
    """Writes all documents, or prints why that failed."""
    try:
        found = documents(engine.connect(container_engine.address()))
    except TaxiwayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except DockerException as error:
        sys.exit(f"error: the container engine failed: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in found.items():
        (folder / name).write_text(json.dumps(document, indent=1) + "\n")
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "build/sbom"))
