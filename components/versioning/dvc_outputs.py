"""What DVC tracks in a working tree, read from the .dvc files themselves.

Every run needs this, and importing DVC would take a third of the second that a cached run may take. DVC itself is only
used if parsing its files is not enough: pipeline outputs, ignore patterns, and hashes of releases before 3.0.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

import yaml

from components.contract.commands import shown, typed
from components.contract.errors import DataError, UserError

HashFile = Callable[[Path, str], str]
"""Takes a file and an algorithm (`md5` or `sha256`) and returns the hash in hexadecimal."""

AnyPath = TypeVar("AnyPath", bound=PurePath)

_NEVER_TRACKED = {".git", ".hg", ".dvc"}


@dataclass(frozen=True)
class TrackedOutput:
    """A file or folder whose hash is in a .dvc or dvc.lock file.

    Attributes:
        path: Its path.
        dvc_file: The file that tracks it.
        algorithm: How its files are hashed: `md5`, or `md5-dos2unix` by DVC before 3.0.
        digest: The expected hash; a folder's ends in `.dir`.
    """

    path: Path
    dvc_file: Path
    algorithm: str
    digest: str


def hash_file(path: Path, algorithm: str) -> str:
    """The hash of a file's content."""
    if algorithm == "md5-dos2unix":
        from dvc_data.hashfile.hash import file_md5

        return str(file_md5(str(path), name=algorithm))
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def repository_root(path: Path, marker: str) -> Path | None:
    """The nearest folder at or above a path that contains `.git` or `.dvc`."""
    return next((place for place in (path, *path.parents) if (place / marker).exists()), None)


def about(program: str, words: str, *paths: Path) -> str:
    """A Git or DVC command about paths, to type in the working folder: from outside, it names their repository."""
    root = repository_root(paths[0].parent, f".{program}") or paths[0].parent
    if Path.cwd().is_relative_to(root):
        return typed(f"{program} {words}", *map(shown, paths))
    option = {"git": "-C", "dvc": "--cd"}[program]
    return typed(f"{program} {option}", root, *words.split(), *(path.relative_to(root) for path in paths))


def tracked_outputs(paths: Iterable[Path]) -> dict[Path, TrackedOutput]:
    """By path, the output that contains it; paths that nothing tracks are left out.

    Raises:
        UserError: A .dvc file is invalid, or DVC refuses a pipeline definition.
    """
    known: dict[Path, TrackedOutput | None] = {}
    found = {path: output for path in paths if (output := _lookup(path, known))}
    rest = [path for path in paths if path not in found]
    root = repository_root(rest[0], ".dvc") if rest else None
    if root:
        by_path = {output.path: output for output in _outputs_known_to_dvc(root)}
        holders = {path: next(filter(by_path.__contains__, (path, *path.parents)), None) for path in rest}
        found.update({path: by_path[holder] for path, holder in holders.items() if holder})
    return found


def hash_holder(definition: AnyPath) -> AnyPath:
    """The file with the hashes of the outputs that a .dvc or dvc.yaml file defines."""
    return definition.with_name("dvc.lock") if definition.name == "dvc.yaml" else definition


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder that DVC sees: all but its own, Git's, and those that .dvcignore excludes.

    Links to folders are not followed.
    """
    root = repository_root(folder, ".dvc")
    if root and _has_ignore_patterns(root, folder):
        yield from _files_by_dvc(root, folder)
        return
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NEVER_TRACKED and not Path(place, name, ".dvc").exists()]
        yield from (Path(place, name) for name in names if name != ".git")


def content_hashes(output: TrackedOutput, remembered: HashFile) -> dict[Path, str]:
    """The current hash of each file in an output; plain MD5 hashes come from `remembered`.

    Raises:
        DataError: The target of a link is gone, for instance because DVC's cache was cleared.
    """
    return file_hashes(output, files_below(output.path) if output.path.is_dir() else [output.path], remembered)


def file_hashes(output: TrackedOutput, files: Iterable[Path], remembered: HashFile) -> dict[Path, str]:
    """Like `content_hashes`, for some of an output's files."""
    hash_one = remembered if output.algorithm == "md5" else hash_file
    try:
        return {file: hash_one(file, output.algorithm) for file in files}
    except FileNotFoundError as error:
        fix = about("dvc", "pull", output.dvc_file)
        raise DataError(f"{error.filename} of {output.dvc_file} is missing or a broken link", fix=fix) from error


def tracked_files(output: TrackedOutput, everywhere: bool = False) -> dict[Path, str]:
    """The hash of each file that DVC tracks in a folder, from the listing in its cache; empty if the cache lacks it.

    Args:
        output: The folder.
        everywhere: Also ask DVC where its cache is, which takes a third of a second, if the usual place lacks it.
    """
    digest = output.digest
    if not digest.endswith(".dir"):
        return {}
    for where in (_usual_cache, _configured_cache)[: 2 if everywhere else 1]:
        listing = Path(where(output), digest[:2], digest[2:])
        content = listing.read_bytes() if listing.is_file() else b""
        if _md5(content) + ".dir" == digest:
            return {output.path / each["relpath"]: each["md5"] for each in json.loads(content)}
    return {}


def listing_digest(output: TrackedOutput, hashes: dict[Path, str]) -> str:
    """DVC's hash of a folder whose files have these hashes."""
    return _md5(listing(output, hashes)) + ".dir"


def listing(output: TrackedOutput, hashes: dict[Path, str]) -> bytes:
    """DVC's listing, as in its cache, of a folder whose files have these hashes.

    Source: dvc_data, `hashfile/tree.py`, Tree.as_bytes and Tree.digest.
    """
    named = {file.relative_to(output.path).as_posix(): digest for file, digest in hashes.items()}
    return json.dumps([{"md5": named[name], "relpath": name} for name in sorted(named)], sort_keys=True).encode()


def is_ignored(path: Path) -> bool:
    """Whether .dvcignore excludes a file."""
    root = repository_root(path.parent, ".dvc")
    return bool(root and _has_ignore_patterns(root, path) and path not in _files_by_dvc(root, path.parent))


def output_digest(output: TrackedOutput, hashes: dict[Path, str]) -> str:
    """DVC's hash of an output whose files have these hashes."""
    if output.path in hashes:
        return hashes[output.path]
    return listing_digest(output, hashes)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _usual_cache(output: TrackedOutput) -> Path:
    root = repository_root(output.path.parent, ".dvc") or output.path.parent
    return root / ".dvc/cache" / ("files/md5" if output.algorithm == "md5" else "")


def _configured_cache(output: TrackedOutput) -> Path:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    root = repository_root(output.path.parent, ".dvc")
    try:
        with Repo(str(root) if root else None, uninitialized=True) as repo:
            return Path((repo.cache.local if output.algorithm == "md5" else repo.cache.legacy).path)
    except DvcException as error:
        raise UserError(f"DVC cannot read {root}: {error}", fix=f"`{typed('dvc status')}` shows the details") from error


def _lookup(path: Path, known: dict[Path, TrackedOutput | None]) -> TrackedOutput | None:
    if path not in known:
        at_top = path == path.parent or any((path / marker).exists() for marker in (".git", ".dvc"))
        known[path] = None if at_top else _tracked_beside(path) or _lookup(path.parent, known)
    return known[path]


def _tracked_beside(path: Path) -> TrackedOutput | None:
    dvc_file = path.with_name(f"{path.name}.dvc")
    if not dvc_file.is_file():
        return None
    try:
        declared = yaml.load(dvc_file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return next((_output(path, dvc_file, out) for out in declared["outs"] if _is_at(path, declared, out)), None)
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, yaml.YAMLError) else "it has no outputs with path and md5"
        restore, add = about("git", "checkout --", dvc_file), about("dvc", "add", path)
        fix = f"`{restore}` restores it; or `rm {shlex.quote(shown(dvc_file))}`, then `{add}` writes a new one"
        raise UserError(f"{dvc_file} is not a valid .dvc file: {reason}", fix=fix) from error


def _is_at(path: Path, declared: dict[str, Any], out: dict[str, Any]) -> bool:
    return Path(os.path.normpath(path.parent / declared.get("wdir", ".") / out["path"])) == path


def _output(path: Path, dvc_file: Path, out: dict[str, Any]) -> TrackedOutput:
    tracked = TrackedOutput(path, dvc_file, out.get("hash", "md5-dos2unix"), out.get("md5", ""))
    files = {path / file["relpath"]: file["md5"] for file in out["files"]} if not tracked.digest else {}
    return replace(tracked, digest=tracked.digest or listing_digest(tracked, files))


def _outputs_known_to_dvc(root: Path) -> list[TrackedOutput]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root), uninitialized=True) as repo:
            return [
                TrackedOutput(
                    Path(out.fs_path), hash_holder(Path(out.stage.path)), out.hash_info.name, out.hash_info.value
                )
                for out in repo.index.outs
                if out.hash_info
            ]
    except DvcException as error:
        raise UserError(f"DVC cannot read {root}: {error}", fix=f"`{typed('dvc status')}` shows the details") from error


def _has_ignore_patterns(root: Path, folder: Path) -> bool:
    above = [place for place in folder.parents if place.is_relative_to(root)]
    lines = [line.strip() for place in above for line in _lines(place / ".dvcignore")]
    return any(line and not line.startswith("#") for line in lines)


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []


def _files_by_dvc(root: Path, folder: Path) -> Iterator[Path]:
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    yield from map(Path, DvcIgnoreFilter(localfs, str(root)).find(localfs, str(folder)))
