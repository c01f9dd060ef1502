"""Checks out a commit and its data into a temporary folder, which is removed even if this process is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from components.contract import files
from components.contract.errors import TaxiwayError, UserError
from components.execution.provenance import Record
from components.processes.reaper import Reaper
from components.versioning import data_versions
from taxiway.language.values import Json


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that is removed at the end of the block or of this process."""
    made = Path(tempfile.mkdtemp(prefix="taxiway-reproduce-"))
    reaper = Reaper(__name__, str(made))
    try:
        yield made
    finally:
        reaper.reap()


def remove(path: str) -> None:
    """Removes the folder; called by the reaper."""
    shutil.rmtree(path, ignore_errors=True)


def check_out(commit: str, target: Path) -> Path:
    """Checks out a commit of the working folder's repository, fetching it from the remotes if it is missing.

    The repository itself is not changed: the copy is a clone that shares its objects.

    Returns:
        The folder in the copy that corresponds to the working folder.

    Raises:
        UserError: There is no repository, or neither it nor its remotes have the commit.
    """
    here = Path.cwd()
    top = _git(here, "rev-parse", "--show-toplevel")
    if not top:
        raise UserError(f"{here} is not in a Git repository", fix="run this in a checkout of the model's repository")
    repository = Path(top)
    _git(here, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(target))
    if not _has(target, commit):
        _fetch(repository, target, commit)
    if _git(target, "checkout", "--quiet", "--detach", commit) is None:
        raise UserError(
            f"neither {repository} nor its remotes contain the commit {commit}",
            fix="run this in a checkout of the repository that the model was made from",
        )
    return target / here.resolve().relative_to(repository.resolve())


def bring_data(data: Record, parameters: Json, names: Mapping[str, str], checkout: Path) -> Json:
    """Puts the recorded data where a call expects it, from the working folder if its files are the same.

    Args:
        data: The record of the data version.
        parameters: The parameters of the call.
        names: The names of these parameters by their roles.
        checkout: The folder that the call runs in.

    Returns:
        The parameters to change, if the data comes from a Git revision.

    Raises:
        TaxiwayError: The data no longer exists.
    """
    path, repo = str(data["path"]), str(parameters.get(names.get("Repository", "")) or "")
    if "://" in path or data.get("revision") or "://" in repo or Path(path).is_absolute():
        return {}
    if repo:
        return {names["Repository"]: str(Path(repo).absolute())}
    if _same_here(path, data):
        for file in data_versions.files_here(path):
            _link(file, checkout / file.absolute().relative_to(Path.cwd()))
        return {}
    if not data.get("dvc_file") and (checkout / path).exists():
        return {}  # Git checked it out
    _share_cache(checkout)
    revision = f"{path}@{data['commit']}"
    data_versions.describe(revision, repo=str(checkout))
    return {names["Data"]: revision, names["Repository"]: str(checkout)}


def _same_here(path: str, data: Record) -> bool:
    try:
        found = data_versions.describe(path, allow_unversioned=True)
    except TaxiwayError:
        return False
    return bool(found.get("content") and found["content"] == data.get("content"))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        files.link(source, target)


def _share_cache(checkout: Path) -> None:
    """Makes DVC in a checkout use the cache and local settings of the working folder's repository."""
    dvc = [sys.executable, "-m", "dvc"]
    cache = subprocess.run([*dvc, "cache", "dir"], capture_output=True, text=True, check=False)
    top, here = (Path(_git(folder, "rev-parse", "--show-toplevel") or folder) for folder in (checkout, Path.cwd()))
    settings = here / ".dvc/config.local"
    if settings.is_file():
        shutil.copyfile(settings, top / ".dvc/config.local")
    if cache.returncode == 0:
        subprocess.run([*dvc, "config", "--quiet", "--local", "cache.dir", cache.stdout.strip()], cwd=top, check=False)


def _has(repository: Path, commit: str) -> bool:
    return _git(repository, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def _fetch(repository: Path, target: Path, commit: str) -> None:
    for remote in (_git(repository, "remote") or "").split():
        url = _git(repository, "remote", "get-url", remote) or ""
        # A server may refuse to serve a commit by its hash; then fetch all refs.
        for wanted in (commit, "+refs/*:refs/fetched/*"):
            if _git(target, "fetch", "--quiet", url, wanted) is not None and _has(target, commit):
                return


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a Git command; None if it fails."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stdout.strip() if done.returncode == 0 else None
