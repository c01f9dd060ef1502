"""The content of the images."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
import pytest

from components import __version__
from tests import scripts
from tests.docker.conftest import KINDS, Inside

ROOT = Path(__file__).parents[2]


@functools.cache
def _select_packages() -> ModuleType:
    return scripts.load(ROOT / "docker/select_packages.py")


# The lists of packages


def test_the_lists_equal_the_packages_requirements() -> None:
    lists = _select_packages().lists()
    assert lists == {kind: (ROOT / f"docker/packages/{kind}.txt").read_text() for kind in lists}, (
        "run `make lock` and look at the difference"
    )


def test_the_image_that_pushes_has_no_tensorflow_and_none_has_what_only_development_needs() -> None:
    names = {kind: set((ROOT / f"docker/packages/{kind}.txt").read_text().split()) for kind in KINDS}
    assert {"s3fs", "gcsfs"} <= names["serve"]
    assert not [name for name in names["serve"] if name.startswith(("tensor", "tf", "keras"))]
    assert {"tensorflow", "tensorflow-data-validation", "dvc", "apache-beam"} <= names["data"]
    assert {"tfx", "tensorflow-transform", "tensorflow-model-analysis"} <= names["train"]
    assert set.union(*names.values()).isdisjoint({"pytest", "mypy", "ruff", "moto", "uv", "schemathesis"})


def test_cuda_is_locked_for_the_locked_tensorflow_and_nothing_else() -> None:
    lock = (ROOT / "docker/packages/gpu.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:\w{64}", lock, re.MULTILINE))
    needed = {each.name: each.specifier for each in _select_packages().cuda()}
    assert needed
    assert locked.keys() == needed.keys(), "run `make lock` and look at the difference"
    assert [name for name, specifier in needed.items() if locked[name] not in specifier] == []
    assert locked.keys().isdisjoint(_select_packages().locked())


def test_the_build_context_has_only_files_that_are_copied() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all(any(source == each or source.startswith(f"{each}/") for each in allowed) for source in sources)
    assert all(any(source == each or source.startswith(f"{each}/") for source in sources) for each in allowed)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is missing")
@pytest.mark.parametrize("script", ["debian-packages", "engine", "images", "python-packages", "python-wheels"])
def test_shellcheck_accepts_the_scripts(script: str) -> None:
    result = subprocess.run(["shellcheck", ROOT / "docker" / script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("file", "is_modified"),
    [
        ("components/mine.py", True),
        ("pipelines/mine/ignored.py", True),
        ("components/__pycache__/mine.cpython-313.pyc", False),
        ("notes.txt", False),
    ],
)
def test_uncommitted_files_in_an_image_make_the_commit_modified(tmp_path: Path, file: str, is_modified: bool) -> None:
    """Runs the script with a Docker that only records its arguments."""
    programs = {
        "docker/images": (ROOT / "docker/images").read_text(),
        "docker/engine": "#!/bin/sh\n[ $1 != name ] || echo docker\n",
        "bin/docker": f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n',
    }
    files = {
        "components/__init__.py": '__version__ = "1"\n',
        "taxiway/a": "",
        "pipelines/a": "",
        ".gitignore": "ignored.py\n__pycache__\nbin\n",
    }
    for name, text in {**programs, **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for command in ("init -q", "add --all", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", "-C", tmp_path, *command.split()], check=True)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "BASE": "base"}
    subprocess.run([tmp_path / "docker/images", "serve"], env=environment, check=True, capture_output=True)
    [commit] = re.findall(r"COMMIT=(\w{40}\+?) ", (tmp_path / "calls").read_text())
    assert commit.endswith("+") is is_modified


# The images


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_has_labels(client: docker.DockerClient, images: dict[str, str], kind: str) -> None:
    config: dict[str, Any] = client.images.get(images[kind]).attrs["Config"]
    assert config["User"] == "65532:65532"
    assert not config.get("Entrypoint")
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"taxiway-{kind}"
    assert labels["org.opencontainers.image.version"] == __version__
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", labels["org.opencontainers.image.revision"])
    variables = dict(pair.split("=", 1) for pair in config["Env"])
    assert variables["TAXIWAY_COMMIT"] == labels["org.opencontainers.image.revision"]
    assert variables["TAXIWAY_IMAGE"] == f"taxiway-{kind}:{__version__}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_has_no_compiler_installer_or_files_of_the_host(
    client: docker.DockerClient, images: dict[str, str], inside: Inside, kind: str
) -> None:
    tools = "gcc g++ cc clang as ld pip pip3"
    assert inside(kind, "sh", "-c", f"for tool in {tools}; do command -v $tool; done; true") == ""
    left = "/etc/pip.conf ~root/.config ~root/.pip /run/secrets/settings /run/secrets/pip /build /wheels/built.lock"
    assert inside(kind, "sh", "-c", f"for file in {left}; do if [ -e $file ]; then echo $file; fi; done") == ""
    made_by = " ".join(str(layer) for layer in client.images.get(images[kind]).history())
    known = dict(pair.split("=", 1) for pair in client.images.get(images[kind]).attrs["Config"]["Env"])
    for name in ("PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        assert name not in made_by
        assert name not in known


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_installed_packages_have_the_locked_versions(inside: Inside, kind: str) -> None:
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    locked = set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    installed = {re.sub(r"[-_.]+", "-", name).lower() for name in inside(kind, "python", "-c", code).split()}
    canonical = {re.sub(r"[-_.]+", "-", name).lower() for name in locked}
    assert installed <= canonical
    lists = [ROOT / f"docker/packages/{each}.txt" for each in KINDS[: KINDS.index(kind) + 1]]
    assert {name.split("==")[0] for name in installed} == set(" ".join(each.read_text() for each in lists).split())


@pytest.mark.slow
def test_the_stages_of_an_image_load_in_it(inside: Inside) -> None:
    work = {
        "serve": "components.pusher.push components.pusher.object_store components.baseline.fetch s3fs gcsfs",
        "data": "components.example_gen.generate tensorflow_data_validation dvc.api",
        "train": "tensorflow_transform tensorflow_model_analysis tfx.v1 taxiway.cli pipelines.chicago_taxi.model",
    }
    for kind, modules in work.items():
        inside(kind, "python", "-c", f"import {', '.join(modules.split())}")
        refused = (
            "import sys; from components.__main__ import main; print(main(['no_stage', '--executor-input', '{}']))"
        )
        assert inside(kind, "python", "-c", refused).strip() == "2"
    sought = "from importlib.util import find_spec; print(find_spec('tensorflow'), find_spec('keras'))"
    assert inside("serve", "python", "-c", sought).strip() == "None None"
