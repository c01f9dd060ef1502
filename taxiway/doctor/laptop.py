"""Checks of this machine: Python and glibc, the wheels, DVC's remote, the container engine and image builder."""

from __future__ import annotations

import ast
import os
import platform
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from components.contract.commands import checkout, shown, typed
from components.processes import container_engine
from components.versioning.dvc_revisions import without_credentials
from taxiway.doctor import stores
from taxiway.doctor.findings import Check, Line, State, Use, absent_or_missing, short
from taxiway.doctor.kubeflow import FIXED_IN, LOCAL_RUNNER_ADVISORY

_START = "systemctl --user start podman.socket, or sudo systemctl start docker"
_BUILDERS = ("docker", "podman", "buildah")
_MOST = 4
"""Maximum number of wheels named on a line; the others are counted."""


def checks(use: Use) -> list[Check]:
    """What every use of Taxiway needs on this machine."""
    engine = absent_or_missing(use.runner == "docker")
    this = partial(Check, group="this machine")
    return [
        this(name="Python", look=lambda: [_python()]),
        this(name="glibc", look=lambda: [_glibc()]),
        this(name="wheels", look=lambda: list(_wheels())),
        this(name="DVC remote", look=lambda: [_dvc_remote(use.folder)], silent=State.MISSING),
        this(name="container engine", look=lambda: [_engine(engine)], silent=engine),
        this(name="image builder", look=lambda: [_builder()]),
    ]


# Python and its packages


def _requirements() -> tuple[str, list[Requirement]]:
    """The required ranges of Python and of the packages: from the checkout, else from the installed metadata."""
    setup = checkout() / "setup.py"
    if not setup.is_file():
        found = metadata.metadata("taxiway")
        texts = [text for text in metadata.requires("taxiway") or [] if "extra ==" not in text]
        return found["Requires-Python"], [Requirement(text) for text in texts]
    given = {
        word.arg: ast.literal_eval(word.value)
        for word in ast.walk(ast.parse(setup.read_text()))
        if isinstance(word, ast.keyword) and word.arg in ("python_requires", "install_requires")
    }
    return given["python_requires"], [Requirement(text) for text in given["install_requires"]]


def _python() -> Line:
    wanted, found = _requirements()[0], platform.python_version()
    if found in SpecifierSet(wanted):
        return Line("Python", State.OK, f"{found} ({wanted})")
    return Line(
        "Python",
        State.MISSING,
        f"{found}; Taxiway needs {wanted}",
        f"install a Python in that range, then: {typed('make setup')}",
    )


def _glibc() -> Line:
    wanted = max(map(_wanted_glibc, _requirements()[1]), default=(0, 0))
    shown = ".".join(map(str, wanted))
    name = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    if not name:
        return Line("glibc", State.UNKNOWN, f"this system has no glibc; the wheels need {shown}")
    found = name.split()[1]
    if tuple(map(int, found.split("."))) >= wanted:
        inside = " (the Debian root's)" if os.environ.get("TAXIWAY_INSIDE") else ""
        return Line("glibc", State.OK, f"{found}{inside}; the wheels need {shown}")
    return Line(
        "glibc",
        State.MISSING,
        f"{found}; the wheels need {shown}",
        f"{typed('make setup')}  # creates a Debian 13 root",
    )


def _wanted_glibc(requirement: Requirement) -> tuple[int, int]:
    """The glibc that an installed wheel was built for: the lowest of its `manylinux` tags."""
    try:
        wheel = metadata.distribution(requirement.name).read_text("WHEEL") or ""
    except metadata.PackageNotFoundError:
        return (0, 0)
    found = [(int(major), int(minor)) for major, minor in re.findall(r"manylinux_(\d+)_(\d+)_", wheel)]
    return min(found, default=(0, 0))


def _wheels() -> Iterator[Line]:
    requirements = _requirements()[1]
    wrong = [text for requirement in requirements if (text := _out_of_range(requirement))]
    differing = _differing_from_lock()
    if wrong:
        yield Line("wheels", State.MISSING, _few(wrong), _installing(requirements))
    elif differing:
        found = f"differs from requirements.lock: {_few(differing)}"
        yield Line("wheels", State.WARNING, found, _installing(requirements))
    else:
        yield Line("wheels", State.OK, f"{len(requirements)} packages, all in their ranges")
    yield from _kfp()


def _installing(requirements: list[Requirement]) -> str:
    """The command that installs what is missing, from the lock file if there is one."""
    lock = checkout() / "requirements.lock"
    named = (
        ["--require-hashes", "-r", shown(lock)]
        if lock.is_file()
        else [str(r) for r in requirements if _out_of_range(r)]
    )
    return typed("python -m pip install", *named)


def _out_of_range(requirement: Requirement) -> str:
    """What is wrong with an installed package; empty if nothing."""
    if requirement.marker and not requirement.marker.evaluate():
        return ""
    found = _installed(requirement.name)
    if found is None:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} {found} is not {requirement.specifier}"


def _differing_from_lock() -> list[str]:
    lock = checkout() / "requirements.lock"
    if not lock.is_file():
        return []
    pins = [Requirement(line.rstrip(" \\")) for line in lock.read_text().splitlines() if re.match(r"[\w.-]+.*==", line)]
    return [
        f"{pin.name} {found}, locked {pin.specifier}"
        for pin in pins
        if (not pin.marker or pin.marker.evaluate()) and (found := _installed(pin.name)) and found not in pin.specifier
    ]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _few(texts: list[str]) -> str:
    more = len(texts) - _MOST
    return "; ".join(texts[:_MOST]) + (f"; and {more} more" if more > 0 else "")


def _kfp() -> Iterator[Line]:
    found = _installed("kfp")
    if found and Version(found) < FIXED_IN:
        yield Line(
            "kfp",
            State.WARNING,
            f"{found}: its own local runner has the vulnerability {LOCAL_RUNNER_ADVISORY}; "
            "`taxiway run` does not use it",
            "use kfp.local only with pipelines and data that you trust",
        )


# DVC


def _dvc_remote(folder: Path) -> Line:
    from dvc.config import NoRemoteError
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            remote = repo.cloud.get_remote()
            url = without_credentials(remote.fs.unstrip_protocol(remote.path))
            return _answer(f"{remote.name}: {url}", remote.fs, remote.path, remote.name)
    except NotDvcRepoError:
        return Line("DVC remote", State.ABSENT, f"{folder} is not a DVC repository", typed("dvc init"))
    except NoRemoteError:
        return Line("DVC remote", State.ABSENT, "none is configured", typed("dvc remote add --default NAME URL"))
    except DvcException as error:
        return Line("DVC remote", State.MISSING, short(error), typed("dvc remote list"))


def _answer(shown: str, fs: object, path: str, name: str) -> Line:
    reason = stores.unreachable(fs, path)
    if not reason:
        return Line("DVC remote", State.OK, shown)
    return Line("DVC remote", State.MISSING, f"{shown}: {reason}", typed("dvc remote modify", name, "url", "URL"))


# Containers


def _engine(bad: State) -> Line:
    url = container_engine.address()
    try:
        if url.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(url.removeprefix("unix://"))
    except PermissionError:
        rights = 'sudo usermod --append --groups docker "$USER"  # then log in again'
        return Line("container engine", bad, f"{url}: permission denied", rights)
    except OSError as error:
        return Line("container engine", bad, f"{url}: {error.strerror or short(error)}", _START)
    return _engine_version(url, bad)


def _engine_version(url: str, bad: State) -> Line:
    from docker import APIClient
    from docker.constants import DEFAULT_DOCKER_API_VERSION
    from docker.errors import DockerException

    try:
        # With an explicit version, the client skips a request for it, which is slow with Podman.
        with closing(APIClient(base_url=url, version=DEFAULT_DOCKER_API_VERSION)) as client:
            found = client.version(api_version=False)
        podman = "Podman" in str(found.get("Components"))
        shown = f"{'Podman' if podman else 'Docker'} {found['Version']}, {found['Os']}/{found['Arch']} at {url}"
    except (DockerException, OSError) as error:
        return Line("container engine", bad, f"{url}: {short(error)}", _START)
    except (KeyError, TypeError, AttributeError):
        return Line("container engine", bad, f"{url} answers, but is neither Docker nor Podman", "unset DOCKER_HOST")
    return Line("container engine", State.OK, shown)


def _builder() -> Line:
    there = [name for name in _BUILDERS if shutil.which(name)]
    if there:
        return Line("image builder", State.OK, ", ".join(there))
    if os.environ.get("TAXIWAY_INSIDE"):
        found = "the host's programs are not visible from the Debian root"
        return Line("image builder", State.UNKNOWN, found, f"command -v {' '.join(_BUILDERS)}")
    return Line("image builder", State.ABSENT, "none of docker, podman, buildah", "sudo apt-get install podman")
