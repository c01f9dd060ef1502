"""The files of a Git revision, whether Git or DVC stores them."""

from __future__ import annotations

import difflib
import functools
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.contract.commands import typed
from components.contract.digests import stream_digest
from components.contract.errors import DataError, ServiceError, TaxiwayError, UserError
from components.versioning.dvc_outputs import hash_file, hash_holder

Info = Mapping[str, Any]


@dataclass(frozen=True)
class Revision:
    """A revision of a repository, open for reading. Names are relative to the repository and separated by `/`.

    Attributes:
        fs: DVC's file system (`dvc.api.DVCFileSystem`).
        label: The name of the data in messages: `data/chicago_taxi@v1`.
    """

    fs: Any
    label: str

    @property
    def commit(self) -> str:
        """The full Git commit."""
        return str(self.fs.repo.get_rev())

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        with self._reading():
            try:
                self.fs.info("" if name == "." else name)
            except FileNotFoundError:
                return False
            return True

    def children(self, folder: str) -> list[str]:
        """The names in a folder; none if there is no such folder."""
        try:
            return [PurePosixPath(name).name for name in self.fs.ls("" if folder == "." else folder, detail=False)]
        except FileNotFoundError:
            return []

    def files(self, name: str) -> Iterator[tuple[str, Info]]:
        """All files at or below a name, with DVC's information about each.

        Raises:
            DataError: DVC's listing of a folder names a file outside of that folder.
        """
        # Not fsspec's `find`, which loops forever if a listing names `..`.
        with self._reading():
            found = self.fs.ls("" if name == "." else name, detail=True)
        for info in found:
            is_folder = info["type"] == "directory"
            # DVC lists a child without a name under the name of its folder.
            child = checked_name("" if is_folder and info["name"] == name else info["name"])
            if is_folder:
                yield from self.files(child)
            else:
                yield child, info

    def content(self, name: str, info: Info) -> str:
        """`md5:<hex>` for a file that DVC stores, `sha256:<hex>` for one that Git stores."""
        held = info.get("dvc_info", {})
        digest = held.get("md5") or held.get("md5-dos2unix")
        if digest:
            return f"{'md5' if 'md5' in held else 'md5-dos2unix'}:{digest}"
        with self._reading(), self.fs.open(name) as file:
            return stream_digest(file)

    def outputs(self, files: Mapping[str, Info]) -> dict[str, str]:
        """The hash of each DVC output that contains one of the files, by the .dvc or dvc.lock file that tracks it."""
        repositories = {info["repo"] for info in files.values()}
        known = {out.fs_path.strip("/"): out for repo in repositories for out in repo.index.outs if out.hash_info}
        holders = {place for name in files for place in _with_parents(name) if place in known}
        return {
            str(hash_holder(PurePosixPath(known[place].stage.path.strip("/")))): known[place].hash_info.value
            for place in sorted(holders)
        }

    def fetch(self, name: str, info: Info, target: Path, content: str) -> None:
        """Copies a file from DVC's cache, a remote or Git; `info` and `content` come from `files` and `content`.

        Raises:
            DataError: The copy does not have the expected hash.
            ServiceError: The file is not in the cache, and no remote provides it.
        """
        with self._reading():
            # Without the info, DVC would reopen its database in each thread.
            self.fs.get_file(name, str(target), info={"dvc_info": info.get("dvc_info")})
        algorithm, _, digest = content.partition(":")
        found = hash_file(target, algorithm)
        if found != digest:
            what = f"the copy of {name} in DVC's cache or remote is damaged: expected {digest}, found {found}"
            raise DataError(
                what,
                fix=f"delete it from the cache (.dvc/cache/files/md5), then: {typed('dvc fetch --all-commits')}",
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except TaxiwayError:
            raise
        except Exception as error:  # each storage library has its own exceptions
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ServiceError:
        cause = error.__cause__ or error
        remote = self.fs.repo.config["core"].get("remote")
        fetch = f"`{typed('dvc fetch --all-commits')}`"
        if remote:
            what = f"can be read neither from the cache nor from the remote {remote!r}"
            fix = f"check that the remote is reachable (`{typed('dvc remote list')}`), then: {fetch}"
        else:
            what = "are not in the cache, and no remote is configured"
            where = typed("dvc remote add --default NAME URL")
            fix = f"configure the remote that has them: `{where}`; then: {fetch}"
        return ServiceError(f"the data of {self.label} {what}: {type(cause).__name__}: {cause}", fix=fix)


def is_url(repo: str) -> bool:
    """Whether a repository is a URL that Git can clone, not a folder."""
    return "://" in repo or bool(re.match(r"[\w.-]+@[\w.-]+:", repo))


def without_credentials(url: str) -> str:
    """The URL without credentials, safe to show and record."""
    return re.sub(r"://[^/]*@", "://", url)


def checked_name(name: str) -> str:
    """The name, if it stays inside the folder that it is relative to.

    Raises:
        DataError: It leads out of the folder.
    """
    if {"", ".", ".."} & set(name.split("/")):
        raise DataError(f"refused: the data list a file {name!r}, which is outside of their folder")
    return name


@contextmanager
def open_revision(repo: str, revision: str, label: str, dvc_root: Path | None = None) -> Iterator[Revision]:
    """Opens a revision (any that `dvc.api` understands; default: the default branch).

    Args:
        repo: The top folder of a Git repository, or a URL; its clone is deleted when the block ends.
        revision: A tag, branch, commit, `HEAD~1`, ...
        label: The name of the data in messages.
        dvc_root: A folder whose current DVC settings replace the revision's: the data may have moved to another remote
            since.

    Raises:
        UserError: There is no such revision, or DVC cannot read the repository.
        ServiceError: The repository cannot be cloned.
    """
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo
    from dvc.repo.open_repo import clean_repos

    config = _present_settings(dvc_root)
    # The factory passes the settings to nested DVC repositories.
    factory = functools.partial(Repo, config=config)
    fs = DVCFileSystem(repo=repo, rev=revision or None, subrepos=True, config=config, repo_factory=factory)
    try:
        _connect(fs, repo, revision)
        yield Revision(fs, label)
    finally:
        fs.close()
        if is_url(repo):
            clean_repos()


def _present_settings(dvc_root: Path | None) -> dict[str, Any]:
    if dvc_root is None:
        return {}
    from dvc.config import Config

    config = Config(str(dvc_root / ".dvc"))
    return {section: config[section] for section in ("cache", "remote")} | {
        "core": {"remote": config["core"]["remote"]} if "remote" in config["core"] else {}
    }


def _connect(fs: Any, repo: str, revision: str) -> None:
    from dvc.exceptions import DvcException
    from dvc.scm import CloneError, RevError

    shown = without_credentials(repo)
    try:
        _ = fs.repo
    except RevError as error:
        near = difflib.get_close_matches(revision, _revisions(repo), n=3, cutoff=0.5)
        fix = f"similar: {', '.join(near)}" if near else f"run `git fetch --tags`, or see `git log` (in {shown})"
        raise UserError(f"there is no revision {revision!r} in {shown}", fix=fix) from error
    except CloneError as error:
        fix = f"check the URL and your permission to read it: `{typed('git ls-remote', shown)}`"
        raise ServiceError(f"{shown} cannot be cloned: {error}", fix=fix) from error
    except DvcException as error:
        raise UserError(f"DVC cannot open {shown}: {error}") from error


def _revisions(repo: str) -> list[str]:
    if is_url(repo):
        return []
    command = ["git", "-C", repo, "for-each-ref", "--format=%(refname:short)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def _with_parents(name: str) -> Iterator[str]:
    yield name
    yield from map(str, PurePosixPath(name).parents)
