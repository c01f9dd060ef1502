"""The version of the data that a run reads: its record for the lineage, and the files themselves.

An input path is a file, a folder or a glob in the working tree; the same at a Git revision (`data/chicago_taxi@v1`);
or a URL that fsspec can read. A record:

    {"path": the input path without the revision, "revision": as given, "" for the working tree,
     "commit": the Git commit, "" without Git, "dvc_file": the file that tracks the data, relative to its repository,
     "dvc_hash": the hash in it (several are joined by ", "), "versioned": bool,
     "difference": {"expected": hash, "found": hash}, if the data differ and that was allowed,
     "content": digest of the names and contents of the files, "repo": the repository's URL if one was given}
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from components.contract.commands import checkout, shown, typed
from components.contract.digests import text_digest
from components.contract.errors import DataError, ServiceError, UserError
from components.versioning import dvc_outputs, dvc_revisions, working_tree
from components.versioning.dvc_outputs import HashFile, hash_file, repository_root
from components.versioning.dvc_revisions import Revision, checked_name, is_url
from components.versioning.working_tree import ALLOW_UNVERSIONED, Comparison

Record = dict[str, Any]


@dataclass(frozen=True)
class DataVersion:
    """Data on this machine, and their version.

    Attributes:
        path: The file or folder that the input path names; for a glob, the folder that it starts from.
        files: The files to read, sorted, without hidden files and DVC's own.
        record: For the lineage and cache keys; see the module's docstring.
    """

    path: Path
    files: list[Path]
    record: Record


@dataclass(frozen=True)
class _Found:
    """Data that were found; `fetch` copies one of the names to a file, and is None if they are on this machine."""

    base: str
    names: list[str]
    record: Record
    fetch: Callable[[str, Path], None] | None = None


def describe(
    input_path: str,
    *,
    repo: str = "",
    allow_unversioned: bool = False,
    hash_file: HashFile = hash_file,
    allow: str = ALLOW_UNVERSIONED,
) -> Record:
    """The record of the data at a path, without fetching them; for arguments and errors see `resolve`.

    If the data are refused, the message says that `allow` accepts them unversioned.
    """
    with _found(input_path, repo, allow_unversioned, hash_file, allow) as found:
        return found.record


def files_here(input_path: str, *, repo: str = "") -> list[Path]:
    """The files of a path in the working tree; none for a revision or a URL.

    Raises:
        DataError: The path does not exist.
        UserError: The repository does not exist.
    """
    path, revision = _split_revision(input_path, repo)
    if "://" in path or revision or is_url(repo):
        return []
    return _files(path, *_base(path, _folder(repo)))


def adding(record: Record) -> str:
    """The command that versions new data; empty if the data have a version, or are outside of DVC's repositories."""
    path = _absolute(Path(_split_glob(record["path"])[0]))
    is_new = not (record["versioned"] or record.get("difference") or "://" in record["path"])
    is_here = is_new and path.exists() and repository_root(path.parent, ".dvc")
    return dvc_outputs.about("dvc", "add", path) if is_here else ""


@contextmanager
def resolve(
    input_path: str, *, repo: str = "", allow_unversioned: bool = False, hash_file: HashFile = hash_file
) -> Iterator[DataVersion]:
    """Provides the data at a path: in place, or, for a revision or URL, in a temporary folder while the block runs.

    Args:
        input_path: A file, a folder or a glob, followed by `@revision` for a Git revision; or a URL.
        repo: The repository that the path is relative to, a folder or URL; default: the working folder.
        allow_unversioned: Accept data that differ from DVC's or Git's version, or that neither tracks.
        hash_file: Hashes one file; a caller that caches hashes passes its own function.

    Raises:
        DataError: The path does not exist, or the data are not the expected version.
        UserError: The repository or the revision does not exist.
        ServiceError: A remote, a repository or an object store does not respond.
    """
    with TemporaryDirectory(prefix="taxiway-data-") as folder:
        with _found(input_path, repo, allow_unversioned, hash_file, ALLOW_UNVERSIONED) as found:
            version = _on_this_machine(found, Path(folder))
        yield version


@contextmanager
def _found(input_path: str, repo: str, allow_unversioned: bool, hash_file: HashFile, allow: str) -> Iterator[_Found]:
    path, revision = _split_revision(input_path, repo)
    if "://" in path:
        yield _in_store(path, allow_unversioned, allow)
    elif revision or is_url(repo):
        with _at_revision(path, revision, repo) as found:
            yield found
    else:
        yield _in_working_tree(path, _folder(repo), allow_unversioned, hash_file, allow)


def _on_this_machine(found: _Found, folder: Path) -> DataVersion:
    if found.fetch is None:
        return DataVersion(Path(found.base), [Path(name) for name in found.names], found.record)
    targets = [folder / checked_name(name) for name in found.names]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(found.fetch, found.names, targets))
    return DataVersion(folder / found.base, targets, found.record)


def _record(path: str, content: Mapping[str, str], **facts: Any) -> Record:
    """A record; `content` holds the files' digests by name, `outputs` the DVC hashes by .dvc file."""
    outputs = facts.pop("outputs", {})
    return {
        "path": path,
        "revision": "",
        "commit": "",
        "dvc_file": ", ".join(outputs),
        "dvc_hash": ", ".join(outputs.values()),
        "versioned": True,
        "content": text_digest("".join(f"{name}\0{content[name]}\n" for name in sorted(content))),
        **facts,
    }


# Input paths


def _split_revision(input_path: str, repo: str) -> tuple[str, str]:
    # The `@` of `HEAD@{1}` belongs to the revision.
    match = re.fullmatch(r"(.+)@((?!\{).+)", input_path)
    if not match or "://" in input_path or (not is_url(repo) and _exists(_folder(repo) / input_path)):
        return input_path, ""
    return match[1], match[2]


def _exists(path: Path) -> bool:
    return os.path.lexists(path) or any(True for _ in glob.iglob(str(path), recursive=True))


def _folder(repo: str) -> Path:
    folder = _absolute(Path(repo))
    if not folder.is_dir():
        raise UserError(f"there is no repository {repo}", fix="set data_repo to a folder, or a URL that Git can clone")
    return folder


def _split_glob(path: str) -> tuple[str, str]:
    """The folder that a glob starts from, and the rest."""
    parts = PurePosixPath(path).parts
    plain = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return str(PurePosixPath(*parts[:plain])), "/".join(parts[plain:])


def _selected(names: Iterable[str], base: str, pattern: str) -> list[str]:
    """The names of data files at or below a base; with a glob, those that match it or are in a folder that does."""
    relative = {name: PurePosixPath(name).relative_to(base) for name in names}
    data = sorted(name for name, below in relative.items() if name == base or _is_data(below))
    if not pattern:
        return data
    from fsspec.utils import glob_translate

    matches = re.compile(glob_translate(pattern)).match
    return [name for name in data if any(matches(str(p)) for p in (relative[name], *relative[name].parents))]


def _is_data(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and name.suffix != ".dvc" and name.name not in {"dvc.yaml", "dvc.lock"}


def _nothing_in(path: str, pattern: str) -> DataError:
    return DataError(f"the pattern {path} matches no file" if pattern else f"the folder {path} has no data files")


def _none_such(path: str, name: str, place: str, names: Iterable[str]) -> DataError:
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    fix = f"similar names: {', '.join(near)}" if near else ""
    return DataError(f"there is no {path}: no {name!r} in {place}", fix=fix)


# The working tree


def _in_working_tree(path: str, folder: Path, allow_unversioned: bool, hash_file: HashFile, allow: str) -> _Found:
    base, pattern = _base(path, folder)
    select = partial(_selected_files, base=base, pattern=pattern)
    files = _files(path, base, pattern)
    found = working_tree.compare(base, files, select, hash_file)
    if not allow_unversioned:
        working_tree.refuse_unversioned(found, allow)
    record = _record(
        path,
        {_below(str(file), str(base)): content for file, content in found.contents.items()},
        commit=found.commit,
        outputs=found.outputs,
        versioned=not found.differences and not found.untracked,
        **_difference(found),
    )
    return _Found(str(base), [str(file) for file in files], record)


def _difference(found: Comparison) -> Record:
    if not found.differences:
        return {}
    expected = ", ".join(difference.expected for difference in found.differences)
    return {"difference": {"expected": expected, "found": ", ".join(d.found for d in found.differences)}}


def _base(path: str, folder: Path) -> tuple[Path, str]:
    """The file or folder that an input path names or starts with, and the glob after it."""
    target = _absolute(folder / path)
    base, pattern = (target, "") if target.exists() else _folder_and_glob(target)
    if not base.exists():
        raise _not_here(path, base)
    return base, pattern


def _files(path: str, base: Path, pattern: str) -> list[Path]:
    below = [base] if base.is_file() else dvc_outputs.files_below(base)
    files = _selected_files(below, base, pattern)
    if not files:
        raise _nothing_in(path, pattern)
    return files


def _selected_files(files: Iterable[Path], base: Path, pattern: str) -> list[Path]:
    return [Path(name) for name in _selected(map(str, files), str(base), pattern)]


def _folder_and_glob(target: Path) -> tuple[Path, str]:
    base, pattern = _split_glob(str(target))
    return Path(base), pattern


def _not_here(path: str, target: Path) -> DataError:
    output = dvc_outputs.tracked_outputs([target]).get(target)
    if output and any(file.is_relative_to(target) for file in dvc_outputs.tracked_files(output)):
        fix = dvc_outputs.about("dvc", "checkout", target)
        return DataError(f"{path} is missing, but {shown(output.dvc_file)} tracks it", fix=fix)
    if output and not output.path.exists():
        # No remote has the checkout's own data.
        own = output.dvc_file == checkout() / "data.dvc"
        fix = typed("make data") if own else dvc_outputs.about("dvc", "pull", output.dvc_file)
        return DataError(f"{path} is missing, but {shown(output.dvc_file)} tracks it", fix=fix)
    place = next(parent for parent in target.parents if parent.is_dir())
    return _none_such(path, target.relative_to(place).parts[0], str(place), (child.name for child in place.iterdir()))


def _absolute(path: Path) -> Path:
    """The absolute path. Symbolic links are not resolved: DVC may have linked the data to its cache."""
    return Path(os.path.normpath(path.absolute()))


def _below(name: str, base: str) -> str:
    """A name relative to the base that it was selected from; for the base itself, its last part."""
    path = PurePosixPath(name)
    return path.name if name == base else path.relative_to(base).as_posix()


# A revision


@contextmanager
def _at_revision(path: str, revision: str, repo: str) -> Iterator[_Found]:
    repository, inner = _repository(path, revision, repo)
    label = f"{path}@{revision}" if revision else path
    dvc_root = None if is_url(repo) else repository_root(Path(repository, inner), ".dvc")
    with dvc_revisions.open_revision(repository, revision, label, dvc_root) as opened:
        base, pattern = (inner, "") if opened.exists(inner) else _split_glob(inner)
        if not opened.exists(base):
            raise _not_in_revision(opened, base)
        infos = dict(opened.files(base))
        files = {name: infos[name] for name in _selected(infos, base, pattern)}
        if not files:
            raise _nothing_in(label, pattern)
        contents = {name: opened.content(name, info) for name, info in files.items()}
        record = _record(
            path,
            {_below(name, base): content for name, content in contents.items()},
            revision=revision,
            commit=opened.commit,
            outputs=opened.outputs(files),
            **({"repo": dvc_revisions.without_credentials(repo)} if is_url(repo) else {}),
        )

        def fetch(name: str, target: Path) -> None:
            opened.fetch(name, files[name], target, contents[name])

        yield _Found(base, list(files), record, fetch)


def _repository(path: str, revision: str, repo: str) -> tuple[str, str]:
    """The repository to open, and the path in it."""
    if is_url(repo):
        return repo, os.path.normpath(path).lstrip("/")
    target = _absolute(_folder(repo) / path)
    root = repository_root(target, ".git")
    if root is None:
        what = f"there is no file {path}@{revision}, and {path} is not in a Git repository with revisions"
        raise UserError(what, fix="correct the path, or set data_repo to the repository")
    return str(root), target.relative_to(root).as_posix()


def _not_in_revision(opened: Revision, name: str) -> DataError:
    place = next(str(parent) for parent in PurePosixPath(name).parents if opened.exists(str(parent)))
    missing = PurePosixPath(name).relative_to(place).parts[0]
    return _none_such(opened.label, missing, f"{place} of that revision", opened.children(place))


# An object store


def _in_store(url: str, allow_unversioned: bool, allow: str) -> _Found:
    """Files in a store that fsspec can read, identified by the store's own checksums."""
    shown = dvc_revisions.without_credentials(url)
    if not allow_unversioned:
        copy = f"`{typed('dvc import-url', shown)}` makes a tracked copy"
        fix = f"{copy}; or accept the data unversioned: {allow}"
        raise DataError(f"DVC does not track {shown}", fix=fix)
    try:
        fs, base, files = _list_store(url)
        contents = {_below(name, base): f"checksum:{fs.checksum(name)}" for name in files}
    except FileNotFoundError as error:
        raise DataError(f"there is nothing at {shown}") from error
    except (ImportError, ValueError) as error:
        raise UserError(f"{shown} cannot be read: {error}") from error
    except Exception as error:  # each store's library has its own exceptions
        raise ServiceError(f"{shown} cannot be read: {type(error).__name__}: {error}") from error
    above = str(PurePosixPath(base).parent)
    names = [_below(name, above) for name in files]
    return _Found(_below(base, above), names, _record(shown, contents, versioned=False), _reader(fs, above))


def _list_store(url: str) -> tuple[Any, str, list[str]]:
    from fsspec.core import url_to_fs

    fs, target = url_to_fs(url)
    fs.invalidate_cache()
    base, pattern = (target, "") if fs.exists(target) else _split_glob(target)
    # S3's driver lists the zero-byte markers of folders as files.
    files = _selected([name for name in fs.find(base) if not name.endswith("/")], base, pattern)
    if not files:
        raise FileNotFoundError(url)
    return fs, base, files


def _reader(fs: Any, above: str) -> Callable[[str, Path], None]:
    return lambda name, target: fs.get_file(f"{above}/{name}", str(target))
